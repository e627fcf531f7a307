import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { recordedBoot } from './boot-log/boot-log-fixtures.js';
import { EVENT_TYPE_NAMES } from './boot-log/event-type.js';
import { describeEvent, LONGEST_EVENT_LINE } from './describe-event.js';

const event = (type: number, data: Buffer): Parameters<typeof describeEvent>[0] => ({ type, data });

const lines = recordedBoot('sb-on').log.events.map(describeEvent);
const linesOff = recordedBoot('sb-off').log.events.map(describeEvent);

describe('describeEvent', () => {
  it.each([
    'EV_S_CRTM_VERSION: 0000',
    'EV_EFI_PLATFORM_FIRMWARE_BLOB: 917504 bytes at 0x820000',
    'EV_EFI_VARIABLE_DRIVER_CONFIG: SecureBoot = 01',
    'EV_SEPARATOR: 00000000',
    'EV_EFI_VARIABLE_BOOT: BootOrder = 010000000200',
    'EV_EFI_VARIABLE_BOOT: Boot0001 "UEFI QEMU HARDDISK QM00011 "',
    'EV_EFI_ACTION: Calling EFI Application from Boot Option',
    'EV_EFI_GPT_EVENT: disk 25f1bf5d-d6f6-41f2-b114-89bfb2bb441e, partitions: 1',
    'EV_EFI_BOOT_SERVICES_APPLICATION: 1048504 bytes from partition 1 \\EFI\\BOOT\\BOOTX64.EFI',
    'EV_EFI_BOOT_SERVICES_APPLICATION: 14186432 bytes from memory',
    'EV_EFI_VARIABLE_AUTHORITY: SbatLevel = sbat,1,2025021800 shim,4 grub,5',
    'EV_IPL: grub_cmd: set timeout=0',
    'EV_IPL: /vmlinuz',
  ])('says %s of the recorded boot', (line) => {
    expect(lines).toContain(line);
  });

  it('says what an event of Linux tells of itself', () => {
    expect(linesOff.filter((line) => line.startsWith('EV_EVENT_TAG'))).toEqual([
      'EV_EVENT_TAG: 0x8f3b22ed LOADED_IMAGE::LoadOptions',
    ]);
  });

  it('shows the size of what is too long to show', () => {
    expect(lines.find((line) => line.includes(' dbx '))).toMatch(
      /^EV_EFI_VARIABLE_DRIVER_CONFIG: dbx = [0-9a-f]+\.\.\. \(76 bytes\)$/u,
    );
  });

  it('names a type nobody knows by its number, and an event without data', () => {
    expect(describeEvent(event(0x1234, Buffer.from('hello')))).toBe('event type 0x00001234: hello');
    expect(describeEvent(event(8, Buffer.alloc(0)))).toBe('EV_S_CRTM_VERSION: no data');
    expect(describeEvent(event(8, Buffer.from('v1.2\0', 'utf16le')))).toBe('EV_S_CRTM_VERSION: v1.2');
  });

  it('lets no control character, escape or direction of writing through', () => {
    const evil = 'grub_cmd: \u001b[2J\u0007\u202emalware\u0000\u009b31m\nroot';
    for (const type of EVENT_TYPE_NAMES.keys()) {
      for (const encoding of ['utf8', 'utf16le'] as const) {
        expect(describeEvent(event(type, Buffer.from(evil, encoding)))).toMatch(/^[\x20-\x7e]+$/u);
      }
    }
  });

  it('is one short printable line for any data under any type', () => {
    const types = fc.constantFrom(...EVENT_TYPE_NAMES.keys(), 0x42, 0xffffffff);
    const recorded = fc.constantFrom(
      ...recordedBoot('sb-on').log.events.map(({ data }) => new Uint8Array(data)),
    );
    fc.assert(
      fc.property(types, fc.oneof(fc.uint8Array({ maxLength: 400 }), recorded), (type, data) => {
        const line = describeEvent(event(type, Buffer.from(data)));
        expect(line).toMatch(/^[\x20-\x7e]+$/u);
        expect(line.length).toBeLessThanOrEqual(LONGEST_EVENT_LINE);
      }),
      { numRuns: 2000 },
    );
  });
});
