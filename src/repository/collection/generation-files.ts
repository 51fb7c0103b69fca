/** The files of a collection in a repository, `condemned/…`, seen through one directory handle. */

import { hasCode, VzvaultError } from '../../lib/errors.js';
import { repositoryLimits } from '../../lib/limits.js';
import type { BlobStore } from '../blob-store.js';
import type { SharingCodec, SharingSealer } from '../sessions/sharing-document.js';
import {
  claimCodec,
  collectedCodec,
  condemnedCodec,
  verdictCodec,
  type Claim,
  type Collected,
  type Condemned,
  type Verdict,
} from './generation-documents.js';
import { claimName, doneName, generationName, readLedger, verdictName, type Ledger } from './ledger.js';

const DIRECTORY = 'condemned';

export class GenerationFiles {
  constructor(
    private readonly store: BlobStore,
    private readonly sealer: SharingSealer,
  ) {}

  async ledger(): Promise<Ledger> {
    const entries = (await this.store.list(DIRECTORY)) ?? [];
    return readLedger(entries.map(({ name }) => name));
  }

  /** False where the number is taken. */
  putCondemned(condemned: Condemned): Promise<boolean> {
    return this.#put(generationName(condemned.generation), condemnedCodec, condemned);
  }

  /** False where the session has claimed it before. */
  putClaim(claim: Claim): Promise<boolean> {
    return this.#put(claimName(claim.generation, claim.sid), claimCodec, claim);
  }

  /** False where there is a verdict. */
  putVerdict(verdict: Verdict): Promise<boolean> {
    return this.#put(verdictName(verdict.generation), verdictCodec, verdict);
  }

  /** False where it was done already. */
  putDone(collected: Collected): Promise<boolean> {
    return this.#put(doneName(collected.generation), collectedCodec, collected);
  }

  /** These are null where the file is not there (any more). E_SNAPSHOT_DAMAGED. */
  async condemned(generation: number): Promise<Condemned | null> {
    return checked(await this.#read(generationName(generation), condemnedCodec), generation);
  }

  async claim(generation: number, sid: string): Promise<Claim | null> {
    return checked(await this.#read(claimName(generation, sid), claimCodec), generation);
  }

  async verdict(generation: number): Promise<Verdict | null> {
    return checked(await this.#read(verdictName(generation), verdictCodec), generation);
  }

  async done(generation: number): Promise<Collected | null> {
    return checked(await this.#read(doneName(generation), collectedCodec), generation);
  }

  /** Removes one of the names of ledger.ts. Repeatable. */
  async remove(name: string): Promise<void> {
    await this.store.remove(`${DIRECTORY}/${name}`);
  }

  async #put<Value>(name: string, codec: SharingCodec<Value>, value: Value): Promise<boolean> {
    try {
      await this.store.putIfAbsent(`${DIRECTORY}/${name}`, codec.seal(this.sealer, value));
      return true;
    } catch (error) {
      if (hasCode(error, 'E_NAME_TAKEN')) return false;
      throw error;
    }
  }

  async #read<Value>(name: string, codec: SharingCodec<Value>): Promise<Value | null> {
    const path = `${DIRECTORY}/${name}`;
    const sealed = await this.store.read(path, repositoryLimits.sealedDocumentBytes);
    return sealed === null ? null : codec.open(this.sealer, path, sealed);
  }
}

function checked<Value extends { readonly generation: number }>(found: Value | null, generation: number): Value | null {
  if (found === null || found.generation === generation) return found;
  throw new VzvaultError(
    'E_SNAPSHOT_DAMAGED',
    `reading ${DIRECTORY}/${generationName(generation)}: it is the document of generation ${found.generation}`,
  );
}
