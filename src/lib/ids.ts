/** Random ids: for sessions, connections and whatever else only has to be unguessable and unique. */
import { randomBytes } from 'node:crypto';

/** 32 lower-case hex digits, 128 random bits. */
export function randomId(): string {
  return randomBytes(16).toString('hex');
}
