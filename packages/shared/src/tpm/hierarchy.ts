/** The hierarchies under which a TPM makes primary keys, and the other handles that every TPM has (TPM 2.0 Part 2 section 7.4). */

export const TPM_HANDLE = {
  owner: 0x40000001,
  null: 0x40000007,
  password: 0x40000009,
  endorsement: 0x4000000b,
  platform: 0x4000000c,
} as const;

export type TpmHierarchy = 'owner' | 'endorsement' | 'platform' | 'null';

export function hierarchyHandle(hierarchy: TpmHierarchy): number {
  return TPM_HANDLE[hierarchy];
}
