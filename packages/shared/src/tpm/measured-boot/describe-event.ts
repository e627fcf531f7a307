/** One line for people about an event of a boot log: what it says of itself, which a quote does not prove. */
import { BonafideError } from '../../errors/bonafide-error.js';
import { describeDevicePath } from './boot-log/device-path.js';
import { formatGuid, parseEfiVariable } from './boot-log/efi-variable.js';
import { EVENT_TYPE_NAMES } from './boot-log/event-type.js';
import { LittleEndianReader } from './boot-log/little-endian-reader.js';
import { printable, printableBytes } from './boot-log/printable-text.js';
import type { LogEvent } from './event-log.js';

export const LONGEST_EVENT_LINE = 160;
const LONGEST_VALUE = 48;
const LONGEST_DETAIL = 120;
/** EFI_LOAD_OPTION: attributes and the length of the device path stand before the name. */
const LOAD_OPTION_HEADER_BYTES = 6;

/** What the data of an event means, by the type it claims. Each may throw for data that is something else. */
const DETAILS: ReadonlyMap<string, (data: Buffer) => string> = new Map([
  ['EV_SEPARATOR', (data) => data.toString('hex', 0, LONGEST_VALUE / 2)],
  ['EV_EVENT_TAG', describeTag],
  ['EV_EFI_VARIABLE_DRIVER_CONFIG', describeVariable],
  ['EV_EFI_VARIABLE_BOOT', describeVariable],
  ['EV_EFI_VARIABLE_BOOT2', describeVariable],
  ['EV_EFI_VARIABLE_AUTHORITY', describeVariable],
  ['EV_EFI_SPDM_DEVICE_POLICY', describeVariable],
  ['EV_EFI_SPDM_DEVICE_AUTHORITY', describeVariable],
  ['EV_EFI_BOOT_SERVICES_APPLICATION', describeImage],
  ['EV_EFI_BOOT_SERVICES_DRIVER', describeImage],
  ['EV_EFI_RUNTIME_SERVICES_DRIVER', describeImage],
  ['EV_EFI_GPT_EVENT', describePartitionTable],
  ['EV_EFI_GPT_EVENT2', describePartitionTable],
  ['EV_EFI_PLATFORM_FIRMWARE_BLOB', describeBlob],
  ['EV_EFI_PLATFORM_FIRMWARE_BLOB2', describeNamedBlob],
]);

/** Printable ASCII on one line, at most LONGEST_EVENT_LINE characters; never throws. */
export function describeEvent({ type, data }: Pick<LogEvent, 'type' | 'data'>): string {
  const name = EVENT_TYPE_NAMES.get(type) ?? `event type 0x${type.toString(16).padStart(8, '0')}`;
  const detail = data.length === 0 ? 'no data' : printable(describeData(name, data), LONGEST_DETAIL);
  return `${name}: ${detail}`;
}

function describeData(name: string, data: Buffer): string {
  try {
    return DETAILS.get(name)?.(data) ?? printableBytes(data, LONGEST_DETAIL);
  } catch (error) {
    // The type is only a claim: data of another shape is shown as bytes.
    if (error instanceof BonafideError) {
      return printableBytes(data, LONGEST_DETAIL);
    }
    throw error;
  }
}

function describeVariable(data: Buffer): string {
  const { name, value } = parseEfiVariable(data);
  if (/^Boot[0-9A-F]{4}$/u.test(name)) {
    const description = value.toString('utf16le', LOAD_OPTION_HEADER_BYTES).split('\0', 1).join('');
    return `${name} "${printable(description, LONGEST_VALUE)}"`;
  }
  const shown = value.length === 0 ? 'empty' : printableBytes(value, LONGEST_VALUE);
  return `${name} = ${shown}${shown.endsWith('...') ? ` (${value.length} bytes)` : ''}`;
}

/** UEFI_IMAGE_LOAD_EVENT */
function describeImage(data: Buffer): string {
  const reader = new LittleEndianReader(data, 'an image load event');
  reader.bytes(8); // where it was in memory
  const length = reader.bytes(8).readBigUInt64LE();
  reader.bytes(8); // the address it was linked for
  const path = reader.bytes(reader.length64(data.length));
  return `${length} bytes from ${path.length === 0 ? 'memory' : describeDevicePath(path)}`;
}

/** UEFI_GPT_DATA: the table's header, then a count of partitions. */
function describePartitionTable(data: Buffer): string {
  const reader = new LittleEndianReader(data, 'a partition table');
  const header = reader.bytes(92);
  const partitions = reader.bytes(8).readBigUInt64LE();
  return `disk ${formatGuid(header.subarray(56, 72))}, partitions: ${partitions}`;
}

function describeBlob(data: Buffer): string {
  const reader = new LittleEndianReader(data, 'a firmware blob');
  const base = reader.bytes(8).readBigUInt64LE();
  const length = reader.bytes(8).readBigUInt64LE();
  reader.expectEnd();
  return `${length} bytes at 0x${base.toString(16)}`;
}

function describeNamedBlob(data: Buffer): string {
  const reader = new LittleEndianReader(data, 'a firmware blob');
  const name = reader.bytes(reader.uint8());
  return `"${printableBytes(name, LONGEST_VALUE)}" ${describeBlob(reader.rest())}`;
}

/** TCG_PCClientTaggedEvent: what Linux logs of its initrd and its command line, for example. */
function describeTag(data: Buffer): string {
  const reader = new LittleEndianReader(data, 'a tagged event');
  const tag = reader.uint32();
  const content = reader.bytes(reader.uint32());
  return `0x${tag.toString(16)} ${printableBytes(content, LONGEST_DETAIL)}`;
}
