/** What a TPM says of itself: TPM2_GetCapability (TPM 2.0 Part 3 section 30.2), and its clock. */
import { hashOf, type PcrBank } from '../../algorithm.js';
import { readPcrSelections } from '../../pcr-selection.js';
import { readTpmClock, type TpmClock } from '../../tpm-attest.js';
import type { TpmReader } from '../../tpm-reader.js';
import type { TpmTurn } from '../tpm.js';
import { TpmWriter } from '../../tpm-writer.js';

const CODE = { getCapability: 0x017a, readClock: 0x0181 } as const;
const CAPABILITY = { handles: 1, pcrs: 5, properties: 6 } as const;
const PROPERTY = {
  manufacturer: 0x105,
  vendorString1: 0x106,
  vendorString4: 0x109,
  firmwareVersion1: 0x10b,
  firmwareVersion2: 0x10c,
  nvBufferMax: 0x12c,
} as const;
const DEFAULT_NV_BUFFER = 512;
const MOST_HANDLES = 254;

export interface TpmProperties {
  /** As the TCG registers it, for example `IBM`, `INTC`. */
  readonly manufacturer: string;
  readonly vendorString: string;
  /** Sixteen hex digits, as quotes have it. */
  readonly firmwareVersion: string;
}

export async function readProperties(turn: TpmTurn): Promise<TpmProperties> {
  const values = await properties(turn, PROPERTY.manufacturer, 8);
  const text = (first: number, last: number): string => {
    const bytes = new TpmWriter();
    for (let property = first; property <= last; property += 1) bytes.uint32(values.get(property) ?? 0);
    // Vendors pad with zeros or blanks; what is not printable is nobody's name.
    return bytes
      .build()
      .toString('latin1')
      .replaceAll(/[^\x20-\x7e]/g, '')
      .trim();
  };
  const version = new TpmWriter()
    .uint32(values.get(PROPERTY.firmwareVersion1) ?? 0)
    .uint32(values.get(PROPERTY.firmwareVersion2) ?? 0);
  return {
    manufacturer: text(PROPERTY.manufacturer, PROPERTY.manufacturer),
    vendorString: text(PROPERTY.vendorString1, PROPERTY.vendorString4),
    firmwareVersion: version.build().toString('hex'),
  };
}

/** How many bytes of NV one command reads. */
export async function nvBufferBytes(turn: TpmTurn): Promise<number> {
  return (await properties(turn, PROPERTY.nvBufferMax, 1)).get(PROPERTY.nvBufferMax) ?? DEFAULT_NV_BUFFER;
}

/** Banks with at least one PCR, weakest first; those of hashes we do not know are left out. */
export async function readActiveBanks(turn: TpmTurn): Promise<readonly PcrBank[]> {
  const reader = await capability(turn, CAPABILITY.pcrs, 0, 1);
  const selections = readPcrSelections(reader);
  reader.expectEnd();
  return selections
    .filter(({ pcrs }) => pcrs.length > 0)
    .map(({ algorithm }) => hashOf(algorithm))
    .filter((bank) => bank !== undefined);
}

/** Handles that exist, from `first` on, in its own range. */
export async function readHandles(turn: TpmTurn, first: number): Promise<readonly number[]> {
  const reader = await capability(turn, CAPABILITY.handles, first, MOST_HANDLES);
  const handles: number[] = [];
  const count = reader.readCount(MOST_HANDLES, 'handles');
  for (let index = 0; index < count; index += 1) handles.push(reader.readUint32('handle'));
  reader.expectEnd();
  return handles.filter((handle) => handle >>> 24 === first >>> 24);
}

export async function readClock(turn: TpmTurn): Promise<TpmClock> {
  const { parameters } = await turn.execute({ name: 'TPM2_ReadClock', code: CODE.readClock });
  parameters.readUint64('time');
  const clock = readTpmClock(parameters);
  parameters.expectEnd();
  return clock;
}

async function properties(turn: TpmTurn, first: number, most: number): Promise<ReadonlyMap<number, number>> {
  const reader = await capability(turn, CAPABILITY.properties, first, most);
  const values = new Map<number, number>();
  const count = reader.readCount(most, 'properties');
  for (let index = 0; index < count; index += 1)
    values.set(reader.readUint32('property'), reader.readUint32('value'));
  reader.expectEnd();
  return values;
}

async function capability(turn: TpmTurn, kind: number, first: number, most: number): Promise<TpmReader> {
  const { parameters } = await turn.execute({
    name: 'TPM2_GetCapability',
    code: CODE.getCapability,
    parameters: new TpmWriter().uint32(kind).uint32(first).uint32(most).build(),
  });
  parameters.readBoolean('more data');
  if (parameters.readUint32('capability') !== kind)
    throw parameters.malformed('capability', 'is not the one asked for');
  return parameters;
}
