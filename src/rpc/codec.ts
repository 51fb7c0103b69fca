/**
 * Messages to frames and back: msgpackr behind a check of every byte that comes in and of every one that goes out, so that
 * neither side can be made to decode what the protocol does not know, and we cannot send it by mistake.
 */
import { Packr } from 'msgpackr';
import { VzvaultError } from '../lib/errors.js';
import { rpcLimits } from '../lib/limits.js';
import { encodeFrame } from './framing.js';
import { checkMessageBytes } from './msgpack-check.js';

export type PlainMap = Record<string, unknown>;

// Plain msgpack: no records, no shared structures, no bundled strings.
const packr = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  variableMapSize: true,
  int64AsType: 'number',
  bundleStrings: false,
  moreTypes: false,
});

/** The body of a frame to the map that it holds. Throws E_FRAME_INVALID. */
export function decodeBody(body: Buffer): PlainMap {
  checkMessageBytes(body);
  try {
    return packr.unpack(body) as PlainMap;
  } catch (error) {
    throw new VzvaultError('E_FRAME_INVALID', 'a message could not be decoded', { cause: error });
  }
}

/**
 * A whole frame. Throws E_FRAME_TOO_LARGE, and E_INTERNAL for what has no place in a message: functions, bytes, numbers that are
 * not finite, too many or too deeply nested values. Fields that are undefined are left out.
 */
export function encodeMessage(message: PlainMap): Buffer {
  const body = packr.pack(wireValue(message, 0));
  const frame = encodeFrame(body);
  try {
    checkMessageBytes(body);
  } catch (error) {
    throw new VzvaultError('E_INTERNAL', 'a message of ours breaks the limits of the protocol', { cause: error });
  }
  return frame;
}

function wireValue(value: unknown, depth: number): unknown {
  if (depth > rpcLimits.depth) throw new VzvaultError('E_INTERNAL', 'a message of ours is nested too deeply');
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'string') return wellFormed(value);
  if (typeof value === 'number') return wireNumber(value);
  if (Array.isArray(value)) return value.map((entry) => wireValue(entry, depth + 1));
  if (typeof value === 'object' && isPlain(value)) {
    const entries = Object.entries(value).filter(([, field]) => field !== undefined);
    return Object.fromEntries(entries.map(([name, field]) => [wellFormed(name), wireValue(field, depth + 1)]));
  }
  throw new VzvaultError('E_INTERNAL', `a message of ours holds a ${typeof value} that cannot be sent`);
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

// msgpackr writes integers beyond 32 bits as floats, and Perl prints a float of 10^15 as 1e+15. BigInts it writes as integers.
function wireNumber(value: number): number | bigint {
  if (!Number.isFinite(value)) throw new VzvaultError('E_INTERNAL', `a message of ours holds the number ${value}`);
  return Number.isSafeInteger(value) && Math.abs(value) > 0x7fff_ffff ? BigInt(value) : value;
}

// A lone surrogate has no UTF-8.
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\ufffd');
}
