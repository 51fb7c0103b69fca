/**
 * Sessions as explicit tables: which event is allowed in which state, and where it leads. What a table does not list is refused
 * with E_SESSION_STATE, and nothing else in a session decides whether a call is in order.
 */
import { VzvaultError } from '../lib/errors.js';

export type Transitions<State extends string, Event extends string> = Readonly<
  Record<State, Readonly<Partial<Record<Event, State>>>>
>;

export class StateMachine<State extends string, Event extends string> {
  #state: State;

  /** `subject` names the session in errors, as `the backup of qemu/100`. */
  constructor(
    private readonly subject: string,
    private readonly transitions: Transitions<State, Event>,
    initial: State,
  ) {
    this.#state = initial;
  }

  get state(): State {
    return this.#state;
  }

  allows(event: Event): boolean {
    return this.transitions[this.#state][event] !== undefined;
  }

  /** Goes where the table says. E_SESSION_STATE, and no change, where it says nothing. */
  fire(event: Event): State {
    const next = this.transitions[this.#state][event];
    if (next === undefined) {
      throw new VzvaultError('E_SESSION_STATE', `${this.subject} is ${this.#state}: ${event} is not possible now`);
    }
    this.#state = next;
    return next;
  }
}
