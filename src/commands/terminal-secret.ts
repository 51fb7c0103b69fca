/**
 * Asking for a passphrase on the terminal that a process belongs to, without echo, also where standard input and output lead elsewhere.
 */

import { closeSync, openSync } from 'node:fs';
import { ReadStream } from 'node:tty';
import { VzvaultError } from '../lib/errors.js';
import { keyLimits } from '../lib/limits.js';
import { wipe } from '../repository/keys/key-material.js';

const ENTER = [0x0a, 0x0d];
const END_OF_INPUT = 0x04;
const INTERRUPT = 0x03;
const ERASE = [0x08, 0x7f];
const ERASE_LINE = 0x15;

/** What was typed; null where there is no terminal, or nothing was typed. E_CANCELLED at Ctrl-C. The caller's to wipe. */
export async function askOnTerminal(prompt: string): Promise<Buffer | null> {
  let fd: number;
  try {
    fd = openSync('/dev/tty', 'r+');
  } catch {
    return null;
  }
  const input = openTerminal(fd);
  if (input === null) return null;
  const typed = Buffer.alloc(keyLimits.passphraseMaxBytes);
  try {
    input.setRawMode(true);
    process.stderr.write(prompt);
    const length = await readLine(input, typed);
    return length === 0 ? null : Buffer.from(typed.subarray(0, length));
  } finally {
    wipe(typed);
    process.stderr.write('\n');
    input.setRawMode(false);
    input.destroy();
  }
}

function openTerminal(fd: number): ReadStream | null {
  try {
    return new ReadStream(fd);
  } catch {
    closeSync(fd);
    return null;
  }
}

async function readLine(input: ReadStream, typed: Buffer): Promise<number> {
  return await new Promise((resolve, reject) => {
    let length = 0;
    input.on('error', reject);
    input.on('end', () => {
      resolve(length);
    });
    input.on('data', (bytes: Buffer) => {
      for (const byte of bytes) {
        if (ENTER.includes(byte) || byte === END_OF_INPUT) resolve(length);
        else if (byte === INTERRUPT) reject(new VzvaultError('E_CANCELLED', 'interrupted'));
        else if (ERASE.includes(byte)) length = lengthWithoutLast(typed, length);
        else if (byte === ERASE_LINE) length = 0;
        else if (length < typed.length) typed[length++] = byte;
      }
      wipe(bytes);
    });
  });
}

/** Whole characters go, which in UTF-8 may be several bytes. */
function lengthWithoutLast(typed: Buffer, length: number): number {
  let shorter = Math.max(0, length - 1);
  while (shorter > 0 && ((typed[shorter] ?? 0) & 0xc0) === 0x80) shorter -= 1;
  return shorter;
}
