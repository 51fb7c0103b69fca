/**
 * The three kinds of message (docs/protocol.md, "Messages") between the maps on the wire and values of ours. Only the envelope is
 * looked at; params and results are the contract's.
 */
import { ERRORS, isErrorCode, VzvaultError } from '../lib/errors.js';
import { rpcLimits } from '../lib/limits.js';
import type { PlainMap } from './codec.js';

export interface RequestMessage {
  readonly kind: 'request';
  readonly id: number;
  readonly method: string;
  readonly params: PlainMap;
  readonly deadlineMs?: number;
  /** How many descriptors came with the frame. */
  readonly fds: number;
}

export interface ResponseMessage {
  readonly kind: 'response';
  /** 0: the peer ends the connection and says why. */
  readonly id: number;
  readonly outcome: { readonly result: PlainMap } | { readonly error: VzvaultError };
}

export interface NotificationMessage {
  readonly kind: 'notification';
  readonly method: string;
  readonly params: PlainMap;
}

export type Message = RequestMessage | ResponseMessage | NotificationMessage;

/** Throws E_FRAME_INVALID where the envelope is none of the three. Unknown fields are ignored. */
export function parseMessage(map: PlainMap): Message {
  if (!('method' in map)) return parseResponse(map);
  const method = map['method'];
  const params = map['params'];
  if (typeof method !== 'string') throw invalid('method is not a string');
  if (!isMap(params)) throw invalid(`params of ${quote(method)} is not a map`);
  if (!('id' in map)) return { kind: 'notification', method, params };
  return {
    kind: 'request',
    id: integerField(map, 'id', 1),
    method,
    params,
    fds: 'fds' in map ? integerField(map, 'fds', 0, rpcLimits.fds) : 0,
    ...('deadlineMs' in map ? { deadlineMs: integerField(map, 'deadlineMs', 1) } : {}),
  };
}

function parseResponse(map: PlainMap): ResponseMessage {
  const id = integerField(map, 'id', 0);
  if (isMap(map['result']) && !('error' in map)) return { kind: 'response', id, outcome: { result: map['result'] } };
  if (isMap(map['error']) && !('result' in map)) {
    return { kind: 'response', id, outcome: { error: parseError(map['error']) } };
  }
  throw invalid(`response ${id} has neither a result nor an error, or both`);
}

function parseError(map: PlainMap): VzvaultError {
  const code = map['code'];
  const message = map['message'];
  if (typeof code !== 'string' || typeof message !== 'string') throw invalid('an error without code or message');
  // A newer peer may know codes that we do not.
  return isErrorCode(code) ? new VzvaultError(code, message) : new VzvaultError('E_INTERNAL', `${message} (${code})`);
}

/** The `error` of a response. */
export function errorFields(error: VzvaultError): PlainMap {
  const { hint, retryable } = ERRORS[error.code];
  return { code: error.code, message: error.message, hint, retryable };
}

/** For use in messages: cut to what a log line bears. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}

function integerField(map: PlainMap, name: string, least: number, most = Number.MAX_SAFE_INTEGER): number {
  const value = map[name];
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw invalid(`${name} is not an integer from ${least} to ${most}`);
}

function isMap(value: unknown): value is PlainMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(what: string): VzvaultError {
  return new VzvaultError('E_FRAME_INVALID', `a message is not acceptable: ${what}`);
}
