/** Keys in a TPM: made, loaded, looked at (TPM 2.0 Part 3 sections 12 and 24). */
import { hierarchyHandle, type TpmHierarchy } from '../../hierarchy.js';
import { NO_PASSWORD, type TpmAuthorization, type TpmTurn } from '../tpm.js';
import { LARGEST_PUBLIC_BYTES, parseTpmPublic, type TpmPublic } from '../../tpm-public.js';
import { TpmWriter } from '../../tpm-writer.js';

const CODE = { createPrimary: 0x0131, create: 0x0153, load: 0x0157, readPublic: 0x0173 } as const;
const NOTHING = Buffer.alloc(0);
const LARGEST_PRIVATE_BYTES = 2048;

export interface LoadedKey {
  readonly handle: number;
  readonly public: TpmPublic;
}

/** A key outside the TPM, wrapped for it; both blobs without the size before them. */
export interface WrappedKey {
  readonly privateBlob: Buffer;
  readonly publicBlob: Buffer;
}

interface KeyToMake {
  /** A TPMT_PUBLIC, as `encodeKeyTemplate` gives it. */
  readonly template: Buffer;
  /** Of the hierarchy, or of the parent. */
  readonly authorization?: TpmAuthorization;
  /** That the key shall have. */
  readonly password?: Buffer;
}

/** The same template gives the same key for as long as the hierarchy's seed stays. */
export async function createPrimary(
  turn: TpmTurn,
  hierarchy: TpmHierarchy,
  key: KeyToMake,
): Promise<LoadedKey> {
  const { handle, parameters } = await turn.execute({
    name: 'TPM2_CreatePrimary',
    code: CODE.createPrimary,
    handles: [hierarchyHandle(hierarchy)],
    authorizations: [key.authorization ?? NO_PASSWORD],
    parameters: creationParameters(key),
    returnsHandle: true,
    isSlow: true,
  });
  return { handle, public: parseTpmPublic(parameters.readSized(LARGEST_PUBLIC_BYTES, 'public area')) };
}

export async function createKey(turn: TpmTurn, parent: number, key: KeyToMake): Promise<WrappedKey> {
  const { parameters } = await turn.execute({
    name: 'TPM2_Create',
    code: CODE.create,
    handles: [parent],
    authorizations: [key.authorization ?? NO_PASSWORD],
    parameters: creationParameters(key),
    isSlow: true,
  });
  return {
    privateBlob: parameters.readSized(LARGEST_PRIVATE_BYTES, 'private area'),
    publicBlob: parameters.readSized(LARGEST_PUBLIC_BYTES, 'public area'),
  };
}

export async function loadKey(
  turn: TpmTurn,
  parent: number,
  key: WrappedKey,
  authorization: TpmAuthorization = NO_PASSWORD,
): Promise<LoadedKey> {
  const { handle } = await turn.execute({
    name: 'TPM2_Load',
    code: CODE.load,
    handles: [parent],
    authorizations: [authorization],
    parameters: new TpmWriter().sized(key.privateBlob).sized(key.publicBlob).build(),
    returnsHandle: true,
  });
  return { handle, public: parseTpmPublic(key.publicBlob) };
}

export async function readPublic(turn: TpmTurn, handle: number): Promise<TpmPublic> {
  const { parameters } = await turn.execute({
    name: 'TPM2_ReadPublic',
    code: CODE.readPublic,
    handles: [handle],
  });
  return parseTpmPublic(parameters.readSized(LARGEST_PUBLIC_BYTES, 'public area'));
}

/** inSensitive, inPublic, no outside info, no PCRs at creation. */
function creationParameters({ template, password = NOTHING }: KeyToMake): Buffer {
  const sensitive = new TpmWriter().sized(password).sized(NOTHING).build();
  return new TpmWriter().sized(sensitive).sized(template).sized(NOTHING).uint32(0).build();
}
