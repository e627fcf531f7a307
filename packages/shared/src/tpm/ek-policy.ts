/** The policies under which endorsement keys may be used (TCG EK Credential Profile 2.5 annex B.6): who knows the password of the endorsement hierarchy. */
import { digestBytes, tpmDigest, type TpmHash } from './algorithm.js';
import { TPM_HANDLE } from './hierarchy.js';
import { TpmWriter } from './tpm-writer.js';

const POLICY_SECRET = 0x0151;
const POLICY_OR = 0x0171;

/** PolicyC, of an NV index that the maker may define: the other branch of PolicyB. */
const POLICY_C = {
  sha256: '3767e2edd43ff45a3a7e1eaefcef78643dca964632e7aad82c673a30d8633fde',
  sha384: 'd6032ce61f2fb3c240eb3cf6a33237ef2b6a16f4293c22b455e261cffd217ad5b4947c2d73e63005eed2dc2b3593d165',
} as const;

export type EkPolicyHash = keyof typeof POLICY_C;

/** PolicySecret of the endorsement hierarchy. */
export function ekPolicyA(hash: EkPolicyHash): Buffer {
  const step = new TpmWriter()
    .bytes(beginning(hash))
    .uint32(POLICY_SECRET)
    .uint32(TPM_HANDLE.endorsement)
    .build();
  // TPM 2.0 Part 3 section 23.2.3: a second round over the policy's reference, which is empty.
  return tpmDigest(hash, tpmDigest(hash, step));
}

/** Either PolicyA or PolicyC. */
export function ekPolicyB(hash: EkPolicyHash): Buffer {
  const branches = ekPolicyBranches(hash);
  return tpmDigest(hash, new TpmWriter().bytes(beginning(hash)).uint32(POLICY_OR).build(), ...branches);
}

export function ekPolicyBranches(hash: EkPolicyHash): readonly Buffer[] {
  return [ekPolicyA(hash), Buffer.from(POLICY_C[hash], 'hex')];
}

export function hasEkPolicy(hash: TpmHash): hash is EkPolicyHash {
  return hash in POLICY_C;
}

function beginning(hash: TpmHash): Buffer {
  return Buffer.alloc(digestBytes(hash));
}
