/** The checks that documents of a repository have in common. */

import { z } from 'zod';
import { parseIsoTime } from '../lib/time.js';

/** What names a repository, a session, a key: 128 bits. */
export const idSchema = z.string().regex(/^[0-9a-f]{32}$/);
/** What names a chunk, a pack: 256 bits. */
export const digestSchema = z.string().regex(/^[0-9a-f]{64}$/);
export const utcTimeSchema = z.string().refine((text) => parseIsoTime(text) !== null, 'not a UTC time');
