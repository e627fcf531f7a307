/** The header of a member of a tar archive (POSIX.1-1988 ustar): as much of it as a backup needs, and nothing else is read. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

export const BLOCK_BYTES = 512;

export interface ArchiveMember {
  readonly name: string;
  readonly bytes: number;
}

const NAME = /^[a-z0-9_][a-z0-9_./-]{0,98}$/;
/** Eleven octal digits. */
const LARGEST_MEMBER_BYTES = 8 ** 11 - 1;

const FIELDS = {
  name: [0, 100],
  mode: [100, 8],
  owner: [108, 8],
  group: [116, 8],
  size: [124, 12],
  modified: [136, 12],
  checksum: [148, 8],
  type: [156, 1],
  magic: [257, 8],
} as const;

const MAGIC = 'ustar\u000000';

/** @throws BonafideError `resource_exhausted` for a member that is larger than the format can tell. */
export function encodeHeader({ name, bytes }: ArchiveMember, modified: Date): Buffer {
  if (!NAME.test(name)) throw new BonafideError('internal', `a backup has no part ${JSON.stringify(name)}`);
  if (bytes > LARGEST_MEMBER_BYTES) {
    throw new BonafideError('resource_exhausted', `the part ${name} is larger than a backup can hold`);
  }
  const header = Buffer.alloc(BLOCK_BYTES);
  const put = ([offset]: readonly [number, number], text: string): void => {
    header.write(text, offset, 'latin1');
  };
  put(FIELDS.name, name);
  put(FIELDS.mode, '0000600\u0000');
  put(FIELDS.owner, '0000000\u0000');
  put(FIELDS.group, '0000000\u0000');
  put(FIELDS.size, `${octal(bytes, 11)}\u0000`);
  put(FIELDS.modified, `${octal(Math.floor(modified.getTime() / 1000), 11)}\u0000`);
  put(FIELDS.type, '0');
  put(FIELDS.magic, MAGIC);
  put(FIELDS.checksum, `${octal(checksumOf(header), 6)}\u0000 `);
  return header;
}

/** Undefined for a block of zeroes, which ends an archive. @throws BonafideError `invalid_argument` for anything that is no header of ours. */
export function decodeHeader(header: Buffer): ArchiveMember | undefined {
  if (header.every((byte) => byte === 0)) return undefined;
  const text = ([offset, length]: readonly [number, number]): string =>
    header.toString('latin1', offset, offset + length).replace(/[\0 ]+$/, '');
  const name = text(FIELDS.name);
  const size = text(FIELDS.size);
  const isOurs =
    text(FIELDS.magic) === MAGIC &&
    text(FIELDS.type) === '0' &&
    text(FIELDS.checksum) === octal(checksumOf(header), 6) &&
    NAME.test(name) &&
    /^[0-7]{11}$/.test(size);
  if (!isOurs)
    throw new BonafideError('invalid_argument', 'the file is no backup of this program, or is damaged');
  return { name, bytes: parseInt(size, 8) };
}

/** Of all bytes, those of the checksum itself as blanks. */
function checksumOf(header: Buffer): number {
  const [start, length] = FIELDS.checksum;
  return header.reduce((sum, byte, at) => sum + (at >= start && at < start + length ? 0x20 : byte), 0);
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0');
}
