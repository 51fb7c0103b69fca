/** The streams of an archive and their maps (docs/format.md, "Map of a stream"), read from that page alone. */
import { must } from './format-error.js';
import { DATA, isZero, MAP_NODE, PLAIN_LIMITS, ZERO_SENTINEL, type CATALOGUE } from './format-records.js';

const MAX_LEVELS = 8;
const MAX_CHILDREN = 256;
const HEADER_BYTES = 16;
const CHILD_BYTES = 40;

/** How a snapshot's document describes a stream. */
export interface Stream {
  readonly sizeBytes: number;
  readonly levels: number;
  readonly root: string;
}

/** A node or a piece, and how many bytes of the stream it stands for. */
export interface Child {
  readonly id: string;
  readonly lengthBytes: number;
}

export interface StreamContents {
  readonly bytes: Buffer;
  readonly pieces: readonly Child[];
  /** By level, that of the leaves first: the children of each of its nodes. */
  readonly levels: readonly (readonly (readonly Child[])[])[];
}

export interface ChunkSource {
  /** The plain bytes of the chunk. */
  read(id: string, type: number): Buffer;
}

export function readStream(
  chunks: ChunkSource,
  { sizeBytes, levels: count, root }: Stream,
  type: typeof DATA | typeof CATALOGUE,
): StreamContents {
  must(count >= 1 && count <= MAX_LEVELS, 'a stream has an impossible number of levels');
  must((sizeBytes === 0) === (root === ZERO_SENTINEL), 'an empty stream has a map, or another has none');
  must(sizeBytes > 0 || count === 1, 'an empty stream has more than one level');
  const levels: Child[][][] = [];
  let children: Child[] = sizeBytes === 0 ? [] : [{ id: root, lengthBytes: sizeBytes }];
  for (let level = count - 1; level >= 0; level -= 1) {
    const nodes = children.map(({ id, lengthBytes }) => {
      must(id !== ZERO_SENTINEL, 'the zero sentinel stands for a node of a stream');
      return readStreamNode(chunks.read(id, MAP_NODE), level, lengthBytes);
    });
    levels.unshift(nodes);
    children = nodes.flat();
  }
  return { bytes: Buffer.concat(children.map((piece) => readPiece(chunks, piece, type))), pieces: children, levels };
}

/** The children of a node, which has to be of that level and stand for so many bytes. */
export function readStreamNode(bytes: Buffer, level: number, lengthBytes: number): Child[] {
  must(bytes.length >= HEADER_BYTES, 'a node of a stream is shorter than its header');
  must(bytes.toString('latin1', 0, 4) === 'VZMN', 'a node of a stream does not begin with its magic');
  must(bytes.readUInt8(4) === 1, 'a node of a stream is of another kind');
  must(bytes.readUInt8(5) === level, 'a node of a stream is of another level');
  const count = bytes.readUInt16LE(6);
  must(count >= 1 && count <= MAX_CHILDREN, 'a node of a stream has an impossible number of children');
  must(isZero(bytes.subarray(8, HEADER_BYTES)), 'a node of a stream has a reserved field that is not zero');
  must(bytes.length === HEADER_BYTES + CHILD_BYTES * count, 'a node of a stream is not as long as its children');
  const children = Array.from({ length: count }, (_, position) => {
    const at = HEADER_BYTES + CHILD_BYTES * position;
    return { id: bytes.toString('hex', at, at + 32), lengthBytes: Number(bytes.readBigUInt64LE(at + 32)) };
  });
  must(
    children.every((child) => child.lengthBytes >= 1),
    'a node of a stream has a child without a byte',
  );
  const sum = children.reduce((total, child) => total + child.lengthBytes, 0);
  must(sum === lengthBytes, 'the children of a node of a stream are not as long as its parent says');
  return children;
}

function readPiece(chunks: ChunkSource, { id, lengthBytes }: Child, type: number): Buffer {
  must(lengthBytes <= (PLAIN_LIMITS.get(type) ?? 0), 'a piece is longer than its type may be');
  if (id === ZERO_SENTINEL) {
    must(type === DATA, 'the zero sentinel stands for a piece of a catalogue');
    return Buffer.alloc(lengthBytes);
  }
  const bytes = chunks.read(id, type);
  must(bytes.length === lengthBytes, 'a piece has another length than its place');
  return bytes;
}
