/**
 * Which guests are being backed up into which repository by this daemon: one backup each at a time. Two storages may be the same
 * repository, so its id counts, not the storage's. Another node cannot run the same guest; where it tries, the commit decides.
 */
import { VzvaultError } from '../lib/errors.js';
import { formatGuest, type Guest } from '../lib/guest.js';

export class BusyGuests {
  readonly #claimed = new Set<string>();

  /** Answers how to give the claim back (repeatable). E_GUEST_BUSY where somebody has it. */
  claim(repositoryId: string, guest: Guest): () => void {
    const key = `${repositoryId} ${formatGuest(guest)}`;
    if (this.#claimed.has(key)) {
      throw new VzvaultError('E_GUEST_BUSY', `${formatGuest(guest)} is being backed up into this repository already`);
    }
    this.#claimed.add(key);
    let held = true;
    return () => {
      if (held) this.#claimed.delete(key);
      held = false;
    };
  }
}
