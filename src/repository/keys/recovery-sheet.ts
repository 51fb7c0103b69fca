/**
 * The recovery sheet: the secret of a repository on paper, to be typed in again. Pure.
 *
 * Four lines of four groups of four hex digits, 8 bytes a line, and behind each line a group that checks it: CRC-16 over the line's number and its
 * bytes, which finds every wrong digit, every two that were swapped, and every line in the wrong place, and says in which line. Whether the
 * sheet is that of the repository is told by the fingerprint in its config.
 */

import { VzvaultError } from '../../lib/errors.js';
import { formatIsoTime } from '../../lib/time.js';
import type { RepositoryConfig } from '../config.js';
import { KEY_BYTES, wipe } from './key-material.js';

const LINE_BYTES = 8;
const LINES = KEY_BYTES / LINE_BYTES;
/** What the QR code holds; capital letters, so that it is a small one. */
const CODE = /VZVAULT1:([0-9A-F]{32}):([0-9A-F]{64})/i;

export interface Sheet {
  readonly config: RepositoryConfig;
  readonly path: string;
  readonly secret: Buffer;
  readonly printedAtSeconds: number;
}

/** The text that the QR code holds; `secretOfSheet` takes it as well. */
export function sheetCode({ config, secret }: Pick<Sheet, 'config' | 'secret'>): string {
  return `VZVAULT1:${config.repositoryId}:${secret.toString('hex')}`.toUpperCase();
}

/** The sheet as text of at most 80 columns. `qr` are the lines of the QR code, none where it is not wanted. */
export function formatSheet(sheet: Sheet, qr: readonly string[]): string {
  const { config, path, secret, printedAtSeconds } = sheet;
  const lines = Array.from({ length: LINES }, (_, index) => formatLine(secret, index));
  return `${[
    'VZVAULT RECOVERY SHEET',
    '',
    'Whoever has this sheet and the repository can read every backup in it.',
    'Keep it away from both: on paper, in a safe. No one can make it again once all',
    'keys are lost.',
    '',
    `Repository   ${config.repositoryId}`,
    `At           ${path}`,
    `Made         ${formatIsoTime(config.createdAtSeconds)}`,
    `Fingerprint  ${config.keyFingerprint ?? ''}`,
    `Printed      ${formatIsoTime(printedAtSeconds)}`,
    '',
    'The key: digits 0-9 and letters a-f. The last group of a line checks it.',
    '',
    ...lines,
    '',
    'To restore, on any Linux machine with vzvault that reaches the repository:',
    '',
    '  vzvault key restore STORE key.json       and type the four lines',
    '  vzvault list STORE --key-file key.json',
    '  vzvault restore STORE SNAPSHOT --disk DISK --to FILE --key-file key.json',
    '',
    'On a Proxmox VE node, to back up and restore as before:',
    '',
    '  pvesm add vzvault ID --path PATH --content backup --encryption-key key.json',
    ...(qr.length === 0
      ? []
      : ['', 'The same for a camera; vzvault key restore takes the text that it reads:', '', ...qr]),
  ].join('\n')}\n`;
}

/**
 * The secret on a sheet that was typed, pasted or scanned: the whole text, or its four lines, or the text of the QR code. E_ARGUMENT_INVALID
 * says what is wrong and in which line. The caller's to wipe.
 */
export function secretOfSheet(text: string): Buffer {
  const [, , scanned] = CODE.exec(text) ?? [];
  if (scanned !== undefined) return Buffer.from(scanned, 'hex');
  const secret = Buffer.alloc(KEY_BYTES);
  const missing = new Set(Array.from({ length: LINES }, (_, index) => index));
  try {
    for (const line of text.split('\n')) {
      const typed = parseLine(line);
      if (typed === null) continue;
      const { index, bytes } = typed;
      bytes.copy(secret, index * LINE_BYTES);
      wipe(bytes);
      missing.delete(index);
    }
    if (missing.size === 0) return secret;
    const numbers = [...missing].map((index) => index + 1).join(', ');
    throw new VzvaultError('E_ARGUMENT_INVALID', `of the four lines of the recovery sheet there is no line ${numbers}`);
  } catch (error) {
    wipe(secret);
    throw error;
  }
}

function formatLine(secret: Buffer, index: number): string {
  const bytes = secret.subarray(index * LINE_BYTES, (index + 1) * LINE_BYTES);
  const groups = bytes.toString('hex').replace(/(.{4})(?=.)/g, '$1 ');
  return `  ${index + 1}:  ${groups}   ${checkOf(index, bytes).toString(16).padStart(4, '0')}`;
}

/** Null for a line that is none of the four. Letters that look like digits are taken for these. */
function parseLine(line: string): { index: number; bytes: Buffer } | null {
  const [, number = '', rest = ''] = /^([1-4])\s*[:.)]\s*(.*)$/.exec(line.trim()) ?? [];
  if (number === '') return null;
  const digits = rest.replace(/[\s-]/g, '').toLowerCase().replace(/o/g, '0').replace(/[il]/g, '1').replace(/s/g, '5');
  const wanted = 2 * LINE_BYTES + 4;
  if (!/^[0-9a-f]*$/.test(digits)) throw invalidLine(number, 'it has letters other than a to f');
  if (digits.length !== wanted) throw invalidLine(number, `it has ${digits.length} digits, not ${wanted}`);
  const index = Number(number) - 1;
  const bytes = Buffer.from(digits.slice(0, 2 * LINE_BYTES), 'hex');
  if (checkOf(index, bytes) !== Number.parseInt(digits.slice(2 * LINE_BYTES), 16))
    throw invalidLine(number, 'its last group does not match the others, so a digit is wrong');
  return { index, bytes };
}

function invalidLine(number: string, why: string): VzvaultError {
  return new VzvaultError('E_ARGUMENT_INVALID', `line ${number} of the recovery sheet: ${why}`);
}

/** CRC-16 with the polynomial 0x1021 and the start 0xffff. */
function checkOf(index: number, bytes: Buffer): number {
  let crc = 0xffff;
  for (const byte of [index + 1, ...bytes]) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = ((crc << 1) ^ ((crc & 0x8000) === 0 ? 0 : 0x1021)) & 0xffff;
  }
  return crc;
}
