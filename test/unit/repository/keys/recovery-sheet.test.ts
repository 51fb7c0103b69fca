import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { qrLines } from '../../../../src/commands/qr-code.js';
import { newConfig } from '../../../../src/repository/config.js';
import { fingerprintOfSecret, randomKey } from '../../../../src/repository/keys/key-material.js';
import { formatSheet, secretOfSheet, sheetCode } from '../../../../src/repository/keys/recovery-sheet.js';
import { throwsWith } from '../../../support/assertions.js';

const secret = randomKey();
const config = newConfig({
  chunkSizeBytes: 524288,
  createdAtSeconds: 1795321034,
  keyFingerprint: fingerprintOfSecret(secret),
});
const sheet = { config, secret, path: '/mnt/nas/vzvault', printedAtSeconds: 1795321034 };
const code = sheetCode(sheet);
const text = formatSheet(sheet, qrLines(code));
const lines = text.split('\n').filter((line) => /^ {2}[1-4]:/.test(line));

describe('the recovery sheet', () => {
  it('tells all that is needed in 80 columns', () => {
    for (const needed of [config.repositoryId, config.keyFingerprint ?? '', sheet.path, 'vzvault key restore'])
      assert.ok(text.includes(needed), needed);
    assert.ok(text.split('\n').every((line) => Array.from(line).length <= 80));
    assert.equal(lines.length, 4);
  });

  it('gives the secret back: whole, as its four lines in any order, or scanned', () => {
    const typed = [
      text,
      lines.join('\n'),
      [...lines].reverse().join('\r\n'),
      lines.join('\n').toUpperCase().replace(/ {3}/g, ' '),
      lines.map((line) => line.replace(':', ')').replaceAll(' ', '')).join('\n'),
      lines
        .join('\n')
        .replaceAll('0', 'O')
        .replace(/(?<=: .*)1/g, 'l'),
      code,
      code.toLowerCase(),
    ];
    for (const form of typed) assert.deepEqual(secretOfSheet(form), secret, form);
  });

  it('finds every wrong digit and says in which line', () => {
    for (const [index, line] of lines.entries()) {
      for (let at = line.indexOf(':') + 1; at < line.length; at += 1) {
        if (!/[0-9a-f]/.test(line[at] ?? '')) continue;
        for (const digit of '0123456789abcdef') {
          if (digit === line[at]) continue;
          const wrong = `${line.slice(0, at)}${digit}${line.slice(at + 1)}`;
          const error = throwsWith('E_ARGUMENT_INVALID', () => secretOfSheet(lines.with(index, wrong).join('\n')));
          assert.match(error.message, new RegExp(`line ${index + 1} `));
        }
      }
    }
  });

  it('finds neighbours that were swapped, and lines under the wrong number', () => {
    for (const [index, line] of lines.entries()) {
      const digits = line.replace(/^.*: /, '').replaceAll(' ', '');
      for (let at = 0; at + 1 < digits.length; at += 1) {
        if (digits[at] === digits[at + 1]) continue;
        const swapped = `${digits.slice(0, at)}${digits[at + 1] ?? ''}${digits[at] ?? ''}${digits.slice(at + 2)}`;
        throwsWith('E_ARGUMENT_INVALID', () => secretOfSheet(lines.with(index, `${index + 1}: ${swapped}`).join('\n')));
      }
    }
    const [first = '', second = '', ...rest] = lines;
    const renumbered = [first.replace('1:', '2:'), second.replace('2:', '1:'), ...rest];
    throwsWith('E_ARGUMENT_INVALID', () => secretOfSheet(renumbered.join('\n')));
  });

  it('says which line is missing, too short, or has other letters', () => {
    assert.match(throwsWith('E_ARGUMENT_INVALID', () => secretOfSheet(lines.slice(1).join('\n'))).message, /no line 1/);
    assert.match(throwsWith('E_ARGUMENT_INVALID', () => secretOfSheet('')).message, /no line 1, 2, 3, 4/);
    const short = lines.with(2, (lines[2] ?? '').slice(0, -1)).join('\n');
    assert.match(throwsWith('E_ARGUMENT_INVALID', () => secretOfSheet(short)).message, /line 3 .*19 digits, not 20/);
    const letters = lines.with(3, (lines[3] ?? '').replace(/.$/, 'x')).join('\n');
    assert.match(throwsWith('E_ARGUMENT_INVALID', () => secretOfSheet(letters)).message, /line 4 .*letters/);
  });
});

describe('the QR code', () => {
  it('is a square of blocks with a margin, small enough for a page', () => {
    const drawn = qrLines(code);
    const width = Math.max(...drawn.map((line) => Array.from(line).length)) + 4;
    assert.ok(width <= 80, String(width));
    assert.ok(Math.abs(drawn.length * 2 - width) <= 2, `${drawn.length} lines, ${width} columns`);
    assert.ok(drawn.slice(0, 2).every((line) => line === ''));
    // The finder pattern in a corner: seven dark modules in its first row.
    assert.match(drawn[2] ?? '', /^ {4}█▀▀▀▀▀█ /);
    assert.deepEqual(drawn, qrLines(code));
    assert.notDeepEqual(drawn, qrLines(code.replace(/.$/, code.endsWith('0') ? '1' : '0')));
  });
});
