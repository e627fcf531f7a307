/** Algorithms as a TPM numbers them (TPM 2.0 Part 2 section 6.3), and the hashes of PCR banks, names and signatures. */
import { createHash } from 'node:crypto';

export const TPM_ALG = {
  rsa: 0x0001,
  sha1: 0x0004,
  aes: 0x0006,
  sha256: 0x000b,
  sha384: 0x000c,
  sha512: 0x000d,
  null: 0x0010,
  rsassa: 0x0014,
  rsaes: 0x0015,
  rsapss: 0x0016,
  oaep: 0x0017,
  ecdsa: 0x0018,
  ecdh: 0x0019,
  ecc: 0x0023,
  cfb: 0x0043,
} as const;

/** Weakest first. A bank of PCRs is named by the hash that extends it. */
export const PCR_BANKS = ['sha1', 'sha256', 'sha384', 'sha512'] as const;
export type PcrBank = (typeof PCR_BANKS)[number];
/** The same hashes where they make names and signatures. */
export type TpmHash = PcrBank;

export const PCR_COUNT = 24;
/** The firmware measures what Secure Boot is and whom it trusts into it. */
export const SECURE_BOOT_PCR = 7;
/** Linux extends it by each file that it measures. */
export const IMA_PCR = 10;

const DIGEST_BYTES = { sha1: 20, sha256: 32, sha384: 48, sha512: 64 } as const satisfies Record<
  TpmHash,
  number
>;
export const LONGEST_DIGEST_BYTES = 64;

export function algorithmOf(hash: TpmHash): number {
  return TPM_ALG[hash];
}

/** Undefined for what is no hash, or none that we know. */
export function hashOf(algorithm: number): TpmHash | undefined {
  return PCR_BANKS.find((hash) => TPM_ALG[hash] === algorithm);
}

export function isPcrBank(text: string): text is PcrBank {
  return PCR_BANKS.some((bank) => bank === text);
}

export function digestBytes(hash: TpmHash): number {
  return DIGEST_BYTES[hash];
}

export function tpmDigest(hash: TpmHash, ...parts: readonly Uint8Array[]): Buffer {
  const sum = createHash(hash);
  for (const part of parts) sum.update(part);
  return sum.digest();
}
