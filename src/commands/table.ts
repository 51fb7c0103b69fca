/** Tables and lists of facts for people. */

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

/** Rows below their titles, columns two blanks apart, no trailing blanks. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const lines = [columns.map((column) => column.title), ...rows];
  const widths = columns.map((_, index) => Math.max(...lines.map((line) => widthOf(line[index] ?? ''))));
  return lines.map((line) => formatRow(columns, widths, line)).join('');
}

/** `label:  value` lines with the values below each other. */
export function formatFacts(facts: readonly (readonly [label: string, value: string])[]): string {
  const width = Math.max(...facts.map(([label]) => widthOf(label))) + 1;
  return facts.map(([label, value]) => `${padEnd(`${label}:`, width)}  ${value}\n`).join('');
}

/** Text from a repository on one line of a terminal: control characters could rewrite what stands there already. */
export function printable(text: string): string {
  return text.replace(/\p{C}/gu, ' ');
}

function formatRow(columns: readonly Column[], widths: readonly number[], cells: readonly string[]): string {
  const padded = columns.map((column, index) => {
    const cell = cells[index] ?? '';
    const width = widths[index] ?? 0;
    return column.align === 'right' ? ' '.repeat(width - widthOf(cell)) + cell : padEnd(cell, width);
  });
  return `${padded.join('  ').trimEnd()}\n`;
}

function padEnd(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - widthOf(text)));
}

/** Characters, not code units. */
function widthOf(text: string): number {
  return Array.from(text).length;
}
