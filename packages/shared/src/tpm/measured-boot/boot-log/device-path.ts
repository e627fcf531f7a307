/** Where an image was loaded from, in words: an EFI device path (UEFI specification, section 10.3). */
import { formatGuid } from './efi-variable.js';
import { LittleEndianReader } from './little-endian-reader.js';

const MAXIMUM_NODES = 64;
const END = 0x7f;
const MEDIA = 0x04;
const HEADER_BYTES = 4;

/**
 * The parts people know: partition, file, module of the firmware. Not cleaned for a terminal.
 *
 * @throws BonafideError invalid_argument when the nodes do not fit the path
 */
export function describeDevicePath(path: Buffer): string {
  const reader = new LittleEndianReader(path, 'a device path');
  const words: string[] = [];
  for (let node = 0; node < MAXIMUM_NODES && !reader.isAtEnd; node++) {
    const type = reader.uint8();
    const subtype = reader.uint8();
    const data = reader.bytes(Math.max(reader.uint16() - HEADER_BYTES, 0));
    if (type === END) {
      break;
    }
    const word = type === MEDIA ? describeMedia(subtype, data) : undefined;
    if (word !== undefined) {
      words.push(word);
    }
  }
  return words.length === 0 ? 'a device' : words.join(' ');
}

function describeMedia(subtype: number, data: Buffer): string | undefined {
  switch (subtype) {
    case 0x01:
      return data.length >= 4 ? `partition ${data.readUInt32LE()}` : undefined;
    case 0x04:
      return data.toString('utf16le').replace(/\0+$/u, '');
    case 0x06:
      return data.length === 16 ? `firmware file ${formatGuid(data)}` : undefined;
    case 0x07:
      return data.length === 16 ? `firmware volume ${formatGuid(data)}` : undefined;
    default:
      return undefined;
  }
}
