/**
 * The documents by which writers, readers and collectors of one repository tell each other what they do (docs/format.md, "Sharing" and
 * "Collection", kinds 5 to 10): one JSON object each, sealed as every document, never encrypted. Pure.
 *
 * They come from storage that others write to: every field is checked before anything relies on it, and before anything is written.
 */

import { z } from 'zod';
import type { DocumentKind, Engine } from '../../engine/types.js';
import { toVzvaultError, VzvaultError } from '../../lib/errors.js';
import { repositoryLimits } from '../../lib/limits.js';

export type SharingKind = Exclude<DocumentKind, 'snapshot' | 'notes' | 'log' | 'verify-state'>;
export type SharingSealer = Pick<Engine, 'sealDocument' | 'openDocument'>;

export const countSchema = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

/** One kind of document: what is written, and the check of what is read. */
export class SharingCodec<Value> {
  constructor(
    readonly kind: SharingKind,
    private readonly schema: z.ZodType<Value>,
  ) {}

  /** E_ARGUMENT_INVALID for what nobody could read: everybody would wait for it until a person removes it. */
  seal(sealer: SharingSealer, value: Value): Buffer {
    const checked = this.schema.safeParse(value);
    if (!checked.success) {
      throw new VzvaultError(
        'E_ARGUMENT_INVALID',
        `sealing a document of the kind ${this.kind}: ${reasonOf(checked.error)}`,
      );
    }
    const plain = Buffer.from(JSON.stringify(value), 'utf8');
    if (plain.length <= repositoryLimits.documentBytes) return sealer.sealDocument(this.kind, plain);
    throw new VzvaultError(
      'E_ARGUMENT_INVALID',
      `a document of the kind ${this.kind} of ${plain.length} bytes is too long`,
    );
  }

  /** E_SNAPSHOT_DAMAGED with what is wrong; `name` is where it was found. */
  open(sealer: SharingSealer, name: string, sealed: Buffer): Value {
    const parsed = this.schema.safeParse(parseJson(this.#opened(sealer, name, sealed), name));
    if (parsed.success) return parsed.data;
    throw damaged(name, reasonOf(parsed.error));
  }

  #opened(sealer: SharingSealer, name: string, sealed: Buffer): Buffer {
    try {
      return sealer.openDocument(this.kind, sealed);
    } catch (thrown) {
      throw damaged(name, toVzvaultError(thrown).message, thrown);
    }
  }
}

/** In one line. */
function reasonOf(error: z.ZodError): string {
  return z.prettifyError(error).replace(/\s*\n\s*/g, ' ');
}

function parseJson(plain: Buffer, name: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(plain));
  } catch {
    throw damaged(name, 'it is not JSON');
  }
}

function damaged(name: string, why: string, cause?: unknown): VzvaultError {
  return new VzvaultError('E_SNAPSHOT_DAMAGED', `reading ${name}: ${why}`, { cause });
}
