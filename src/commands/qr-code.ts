/** A QR code as lines of text: two modules above each other are one character, dark on light as on paper. */

import qrcode from 'qrcode-generator';

/** Light modules around the code, which readers need (ISO/IEC 18004). */
const QUIET = 4;
/** By whether the upper and the lower module are dark. */
const BLOCKS = [' ', '▄', '▀', '█'] as const;

/** REQUIRES: digits, capital letters, `:` and others of the alphanumeric mode. */
export function qrLines(text: string): string[] {
  const code = qrcode(0, 'M');
  code.addData(text, 'Alphanumeric');
  code.make();
  const size = code.getModuleCount();
  const isDark = (row: number, column: number): boolean =>
    row >= 0 && column >= 0 && row < size && column < size && code.isDark(row, column);
  const lines: string[] = [];
  for (let row = -QUIET; row < size + QUIET; row += 2) {
    let line = '';
    for (let column = -QUIET; column < size + QUIET; column += 1)
      line += BLOCKS[(isDark(row, column) ? 2 : 0) + (isDark(row + 1, column) ? 1 : 0)] ?? '';
    lines.push(line.trimEnd());
  }
  return lines;
}
