import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { CommandLine } from '../../support/command-line.js';
import { readText } from '../house/tree.js';

interface Help {
  /** As it is typed, without `vzvault`. */
  readonly name: string;
  readonly text: string;
  readonly options: readonly string[];
  readonly subcommands: readonly string[];
}

/** The first words of the lines below a heading. */
function wordsBelow(text: string, heading: string): string[] {
  const section = new RegExp(String.raw`^${heading}:\n((?: .*\n)+)`, 'm').exec(text)?.[1] ?? '';
  return [...section.matchAll(/^ {2}(?:-\w, )?(\S+)/gm)].map(([, word = '']) => word);
}

/** The help of a command and of everything below it. */
async function helpOf(cli: CommandLine, words: readonly string[]): Promise<Help[]> {
  const { code, out, err } = await cli.run(...words, '--help');
  assert.deepEqual({ code, err }, { code: 0, err: '' }, words.join(' '));
  const subcommands = wordsBelow(out, 'Commands').filter((word) => word !== 'help');
  const own = {
    ...{ name: words.join(' '), text: out, subcommands },
    options: wordsBelow(out, 'Options').filter((word) => word !== '--help' && word !== '--version'),
  };
  const below: Help[] = [];
  for (const name of subcommands) below.push(...(await helpOf(cli, [...words, name])));
  return [own, ...below];
}

describe('the help of every command', () => {
  const page = readText('docs/cli.md');
  let all: Help[] = [];

  before(async () => {
    all = await helpOf(new CommandLine(), []);
  });

  it('teaches by examples', () => {
    assert.ok(all.length > 20);
    for (const { name, text } of all) {
      assert.match(text, /^Usage: vzvault /, name);
      assert.match(text, name === '' ? /First steps:\n {2}vzvault / : /Examples?:\n {2}vzvault /, name);
    }
  });

  it('tells of no command and no option that docs/cli.md does not have', () => {
    const unknown = all.flatMap(({ name, options, subcommands }) => [
      ...(subcommands.length > 0 || isNamed(page, name) ? [] : [name]),
      ...options.filter((option) => !new RegExp(`${option}(?![a-z-])`).test(page)).map((option) => `${name} ${option}`),
    ]);
    assert.deepEqual(unknown, []);
  });

  it('tells of every option that docs/cli.md has', () => {
    const known = new Set(all.flatMap(({ options }) => options));
    const named = [...page.matchAll(/`[^`\n]*`/g)].flatMap(([span]) => span.match(/(?<![a-z-])--[a-z][a-z-]*/g) ?? []);
    assert.ok(named.length > 40);
    assert.deepEqual(
      [...new Set(named)].filter((option) => !known.has(option) && option !== '--help'),
      [],
    );
  });

  it('has --json exactly where docs/cli.md says what it prints', () => {
    const table = page.slice(page.indexOf('## JSON'), page.indexOf('## Environment'));
    const described = [...table.matchAll(/^\| `([a-z ]+)` \|/gm)].map(([, name = '']) => name);
    const printing = all.filter(({ options }) => options.includes('--json')).map(({ name }) => name);
    assert.deepEqual(described.toSorted(), printing.toSorted());
  });
});

/** Whether the page has the command in a code span of its own or of a synopsis; a list may name several of a family. */
function isNamed(page: string, name: string): boolean {
  const [family = '', member] = name.split(' ');
  if (member === undefined) return new RegExp(`^\\| \`${family}[ \`]`, 'm').test(page);
  return new RegExp(`^\\| \`${family} (?:${member}[ \`]|[a-z\\\\|]*\\b${member}\\b)`, 'm').test(page);
}
