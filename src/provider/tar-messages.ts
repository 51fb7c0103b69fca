/**
 * What tar says on its standard error, line by line into the task log. Bounded: of a line, of lines, and of what is kept in memory, since a
 * container full of busy files makes tar say as much as there are files.
 */
import type { Readable } from 'node:stream';
import { containerLimits } from '../lib/limits.js';

const newline = 0x0a;

/** Follows the stream to its end, however it ends. `onLine` gets at most `containerLimits.messages` lines, and one that counts the others. */
export async function followMessages(stream: Readable, onLine: (line: string) => void): Promise<void> {
  const { messages, messageCharacters } = containerLimits;
  let said = 0;
  let rest: Buffer = Buffer.alloc(0);
  const say = (line: Buffer): void => {
    const text = line.toString('utf8').trimEnd();
    if (text === '') return;
    said += 1;
    if (said <= messages) onLine(text.slice(0, messageCharacters));
  };
  const take = (bytes: Buffer): void => {
    let from = 0;
    for (let end = bytes.indexOf(newline); end !== -1; end = bytes.indexOf(newline, from)) {
      say(Buffer.concat([rest, bytes.subarray(from, end)]));
      rest = Buffer.alloc(0);
      from = end + 1;
    }
    // A line without an end: its beginning is what will be said of it.
    const room = Math.max(0, 4 * messageCharacters - rest.length);
    rest = Buffer.concat([rest, bytes.subarray(from, Math.min(bytes.length, from + room))]);
  };
  await new Promise<void>((resolve) => {
    if (stream.readableEnded || stream.destroyed) resolve();
    stream.on('data', take);
    for (const event of ['end', 'error', 'close'] as const) stream.once(event, resolve);
  });
  say(rest);
  if (said > messages) onLine(`tar said ${said - messages} lines more`);
}
