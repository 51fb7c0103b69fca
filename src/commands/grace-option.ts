/** The option --grace, of commands that wait until what they did can be seen on every node. */

import { Option } from 'commander';
import { collectionLimits } from '../lib/limits.js';
import { integerArgument } from './arguments.js';

const DAY_SECONDS = 24 * 60 * 60;

export interface GraceOptions {
  /** In seconds. */
  readonly grace?: number;
}

export function graceOption(): Option {
  const defaultSeconds = collectionLimits.graceMs / 1000;
  const text = `how old the storage may show a directory (default: ${defaultSeconds})`;
  return new Option('--grace <seconds>', text).argParser(integerArgument(0, DAY_SECONDS));
}

export function graceMsOf({ grace }: GraceOptions): number {
  return grace === undefined ? collectionLimits.graceMs : grace * 1000;
}
