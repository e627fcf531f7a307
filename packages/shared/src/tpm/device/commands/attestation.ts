/** What a TPM proves with its keys: quotes, certifications, signatures, opened credentials (TPM 2.0 Part 3 sections 12.5, 18 and 20). */
import { algorithmOf, LONGEST_DIGEST_BYTES, TPM_ALG, type PcrBank, type TpmHash } from '../../algorithm.js';
import { TPM_HANDLE } from '../../hierarchy.js';
import { encodePcrSelection } from '../../pcr-selection.js';
import { NO_PASSWORD, type TpmAuthorization, type TpmResult, type TpmTurn } from '../tpm.js';
import { LARGEST_ATTEST_BYTES } from '../../tpm-attest.js';
import { TpmWriter } from '../../tpm-writer.js';
import type { MadeCredential } from '../../proof/make-credential.js';

const CODE = {
  activateCredential: 0x0147,
  certify: 0x0148,
  quote: 0x0158,
  sign: 0x015d,
  hash: 0x017d,
} as const;
const LONGEST_HASHED_BYTES = 1024;
/** TPMT_TK_HASHCHECK with nothing in it. */
const NO_TICKET = new TpmWriter().uint16(0x8024).uint32(TPM_HANDLE.null).sized(Buffer.alloc(0)).build();

/** TPMS_ATTEST and TPMT_SIGNATURE. */
export interface SignedAttest {
  readonly attest: Buffer;
  readonly signature: Buffer;
}

export interface KeyInUse {
  readonly handle: number;
  readonly authorization?: TpmAuthorization;
}

/** @throws BonafideError `permission_denied` when the credential was made for another pair of keys. */
export async function activateCredential(
  turn: TpmTurn,
  ak: KeyInUse,
  ek: KeyInUse,
  { credential, secret }: MadeCredential,
): Promise<Buffer> {
  const { parameters } = await turn.execute({
    name: 'TPM2_ActivateCredential',
    code: CODE.activateCredential,
    handles: [ak.handle, ek.handle],
    authorizations: [ak.authorization ?? NO_PASSWORD, ek.authorization ?? NO_PASSWORD],
    parameters: new TpmWriter().sized(credential).sized(secret).build(),
  });
  const activated = parameters.readSized(LONGEST_DIGEST_BYTES, 'credential');
  parameters.expectEnd();
  return activated;
}

export async function quotePcrs(
  turn: TpmTurn,
  ak: KeyInUse,
  what: { readonly bank: PcrBank; readonly pcrs: readonly number[]; readonly extraData: Buffer },
): Promise<SignedAttest> {
  return signedAttest(
    await turn.execute({
      name: 'TPM2_Quote',
      code: CODE.quote,
      handles: [ak.handle],
      authorizations: [ak.authorization ?? NO_PASSWORD],
      parameters: new TpmWriter()
        .sized(what.extraData)
        .uint16(TPM_ALG.null)
        .bytes(encodePcrSelection(what.bank, what.pcrs))
        .build(),
    }),
  );
}

/** `ak` says that it is in one TPM with `key`. */
export async function certifyKey(
  turn: TpmTurn,
  key: KeyInUse,
  ak: KeyInUse,
  extraData: Buffer,
): Promise<SignedAttest> {
  return signedAttest(
    await turn.execute({
      name: 'TPM2_Certify',
      code: CODE.certify,
      handles: [key.handle, ak.handle],
      authorizations: [key.authorization ?? NO_PASSWORD, ak.authorization ?? NO_PASSWORD],
      parameters: new TpmWriter().sized(extraData).uint16(TPM_ALG.null).build(),
    }),
  );
}

/** What the TPM hashed itself, and its word (TPMT_TK_HASHCHECK) that it is nothing that only a TPM may say. */
interface HashedByTpm {
  readonly digest: Buffer;
  readonly ticket: Buffer;
}

/** @param data at most 1024 bytes. */
export async function hashInTpm(turn: TpmTurn, hash: TpmHash, data: Buffer): Promise<HashedByTpm> {
  if (data.length > LONGEST_HASHED_BYTES)
    throw new RangeError(`a TPM hashes at most ${LONGEST_HASHED_BYTES} bytes at once`);
  const { parameters } = await turn.execute({
    name: 'TPM2_Hash',
    code: CODE.hash,
    parameters: new TpmWriter().sized(data).uint16(algorithmOf(hash)).uint32(TPM_HANDLE.owner).build(),
  });
  return { digest: parameters.readSized(LONGEST_DIGEST_BYTES, 'digest'), ticket: parameters.readRest() };
}

/**
 * With the scheme that the key is bound to.
 * @param ticket for restricted keys, which sign nothing else than what the TPM hashed itself.
 */
export async function signDigest(
  turn: TpmTurn,
  key: KeyInUse,
  digest: Buffer,
  ticket = NO_TICKET,
): Promise<Buffer> {
  const { parameters } = await turn.execute({
    name: 'TPM2_Sign',
    code: CODE.sign,
    handles: [key.handle],
    authorizations: [key.authorization ?? NO_PASSWORD],
    parameters: new TpmWriter().sized(digest).uint16(TPM_ALG.null).bytes(ticket).build(),
  });
  return parameters.readRest();
}

function signedAttest({ parameters }: TpmResult): SignedAttest {
  return {
    attest: parameters.readSized(LARGEST_ATTEST_BYTES, 'attestation'),
    signature: parameters.readRest(),
  };
}
