/**
 * The sessions of one kind by id, and which of them outlived the process that they belong to.
 *
 * A session is in the table from its opening until its end was asked for; ending it is up to whoever takes it out.
 */
import { VzvaultError } from '../lib/errors.js';
import { isAlive, type ProcessIdentity, type ProcessTable } from '../lib/process-identity.js';

export interface OwnedSession {
  readonly id: string;
  readonly owner: ProcessIdentity;
}

export class SessionTable<Session extends OwnedSession> {
  readonly #sessions = new Map<string, Session>();

  /** `kind` names sessions in errors, as `job`. */
  constructor(private readonly kind: string) {}

  get size(): number {
    return this.#sessions.size;
  }

  add(session: Session): void {
    this.#sessions.set(session.id, session);
  }

  find(id: string): Session | undefined {
    return this.#sessions.get(id);
  }

  /** E_SESSION_UNKNOWN. */
  get(id: string): Session {
    const session = this.find(id);
    if (session === undefined) throw new VzvaultError('E_SESSION_UNKNOWN', `there is no ${this.kind} session ${id}`);
    return session;
  }

  /** Takes a session out; undefined where it is unknown. */
  take(id: string): Session | undefined {
    const session = this.#sessions.get(id);
    this.#sessions.delete(id);
    return session;
  }

  all(): Session[] {
    return [...this.#sessions.values()];
  }

  takeAll(): Session[] {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    return sessions;
  }

  /** Takes out those whose owner is gone; not where that cannot be told. */
  takeOrphans(processes: ProcessTable): Session[] {
    const orphans = [...this.#sessions.values()].filter(({ owner }) => !isAlive(owner, processes));
    for (const { id } of orphans) this.#sessions.delete(id);
    return orphans;
  }
}

/** The owner of a session that `pid` opens. E_PEER_DENIED where it cannot be told: such a session would never be swept. */
export function ownerOf(pid: number, processes: ProcessTable): ProcessIdentity {
  const owner = processes.identify(pid);
  if (owner === null)
    throw new VzvaultError('E_PEER_DENIED', `the calling process ${pid} cannot be seen from vzvaultd`);
  return owner;
}
