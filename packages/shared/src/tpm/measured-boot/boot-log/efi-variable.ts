/** A measured UEFI variable: UEFI_VARIABLE_DATA (TCG PC Client Platform Firmware Profile, section 10.2.6). */
import { LittleEndianReader } from './little-endian-reader.js';

const MAXIMUM_NAME_UNITS = 1024;
const MAXIMUM_VALUE_BYTES = 1024 * 1024;

/** EFI_GLOBAL_VARIABLE: SecureBoot, PK, KEK, the boot options. */
export const GLOBAL_VARIABLE_GUID = '8be4df61-93ca-11d2-aa0d-00e098032b8c';
/** EFI_IMAGE_SECURITY_DATABASE_GUID: db, dbx, dbt, dbr. */
export const IMAGE_SECURITY_GUID = 'd719b2cb-3d3a-4596-a3bc-dad00e67656f';

export interface EfiVariable {
  /** The name space of the name, as UEFI writes GUIDs, lower case. */
  readonly vendorGuid: string;
  readonly name: string;
  readonly value: Buffer;
}

/** @throws BonafideError invalid_argument */
export function parseEfiVariable(data: Buffer): EfiVariable {
  const reader = new LittleEndianReader(data, 'a measured UEFI variable');
  const vendorGuid = formatGuid(reader.bytes(16));
  const nameUnits = reader.length64(MAXIMUM_NAME_UNITS);
  const valueBytes = reader.length64(MAXIMUM_VALUE_BYTES);
  const name = reader.bytes(nameUnits * 2).toString('utf16le');
  const value = reader.bytes(valueBytes);
  reader.expectEnd();
  return { vendorGuid, name, value };
}

/** @param bytes 16, the first three groups little endian (UEFI specification, appendix A) */
export function formatGuid(bytes: Buffer): string {
  const groups = [
    bytes.readUInt32LE(0).toString(16).padStart(8, '0'),
    bytes.readUInt16LE(4).toString(16).padStart(4, '0'),
    bytes.readUInt16LE(6).toString(16).padStart(4, '0'),
    bytes.toString('hex', 8, 10),
    bytes.toString('hex', 10, 16),
  ];
  return groups.join('-');
}
