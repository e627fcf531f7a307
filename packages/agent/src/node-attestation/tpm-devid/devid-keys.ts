/** The keys with which a node proves its DevID, loaded into its TPM: the DevID, an attestation key made for the occasion, and the endorsement key. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type {
  DevIdAnswer,
  DevIdChallenge,
  DevIdEvidence,
} from '@bonafide/shared/node-attestation/tpm-devid-messages';
import {
  certifyKey,
  hashInTpm,
  signDigest,
  type KeyInUse,
} from '@bonafide/shared/tpm/device/commands/attestation';
import {
  createKey,
  createPrimary,
  loadKey,
  type LoadedKey,
} from '@bonafide/shared/tpm/device/commands/objects';
import { devIdSignature } from '@bonafide/shared/tpm/proof/devid-signature';
import {
  findEndorsementKey,
  type EndorsementKey,
  type HierarchyPasswords,
} from '@bonafide/shared/tpm/device/find-endorsement-key';
import { ATTESTATION_TEMPLATE, encodeKeyTemplate, STORAGE_TEMPLATE } from '@bonafide/shared/tpm/key-template';
import type { TpmDevice } from '@bonafide/shared/tpm/device/tpm-device';
import type { TpmTurn } from '@bonafide/shared/tpm/device/tpm';
import type { DevIdFiles } from './devid-files.js';

export interface DevIdPasswords extends HierarchyPasswords {
  readonly devId: { readonly password: Buffer };
}

/** SPIRE's agents have the AK sign nothing along, and its servers expect it so. */
const NO_EXTRA_DATA = Buffer.alloc(0);

/** For one turn; it flushes what was loaded. A TPM without a resource manager has room for three keys, and no more are in it at any time. */
export class DevIdKeys {
  readonly #turn: TpmTurn;
  readonly #files: DevIdFiles;
  readonly #devId: KeyInUse;
  readonly #ak: LoadedKey;
  readonly #ek: EndorsementKey;

  private constructor(turn: TpmTurn, files: DevIdFiles, devId: KeyInUse, ak: LoadedKey, ek: EndorsementKey) {
    this.#turn = turn;
    this.#files = files;
    this.#devId = devId;
    this.#ak = ak;
    this.#ek = ek;
  }

  /** @throws BonafideError saying what to do when the DevID is not of this TPM. */
  static async load(turn: TpmTurn, files: DevIdFiles, passwords: DevIdPasswords): Promise<DevIdKeys> {
    // First: where no EK is persistent, looking for it takes a place.
    const ek = await findEndorsementKey(turn, passwords, 'rsa');
    const parentOf = (type: 'rsa' | 'ecc'): Promise<LoadedKey> =>
      createPrimary(turn, 'owner', {
        template: encodeKeyTemplate(STORAGE_TEMPLATE[type]),
        authorization: passwords.owner,
      });
    let parent = await parentOf(files.public.type);
    const devId = await loadDevId(turn, parent, files);
    if (files.public.type !== 'rsa') {
      await turn.flush(parent.handle);
      parent = await parentOf('rsa');
    }
    const made = await createKey(turn, parent.handle, {
      template: encodeKeyTemplate(ATTESTATION_TEMPLATE.rsa),
    });
    const ak = await loadKey(turn, parent.handle, made);
    await turn.flush(parent.handle);
    return new DevIdKeys(turn, files, { handle: devId.handle, authorization: passwords.devId }, ak, ek);
  }

  async evidence(): Promise<DevIdEvidence> {
    const { certificate } = this.#ek;
    if (certificate === undefined) {
      throw new BonafideError(
        'failed_precondition',
        'the TPM holds no certificate of an RSA endorsement key, without which no DevID can be proven to be in it',
      );
    }
    const ak = { handle: this.#ak.handle };
    const { attest, signature } = await certifyKey(this.#turn, this.#devId, ak, NO_EXTRA_DATA);
    return {
      certificates: this.#files.certificates,
      devIdPublic: this.#files.public.raw,
      ekCertificate: certificate,
      ekPublic: this.#ek.public.raw,
      akPublic: this.#ak.public.raw,
      attest,
      signature,
    };
  }

  /** Once: the DevID is not loaded any more afterwards. */
  async answer(device: TpmDevice, { nonce, credential }: DevIdChallenge): Promise<DevIdAnswer> {
    const turn = this.#turn;
    // Hashed by the TPM, since a DevID that is restricted would sign nothing else.
    const { digest, ticket } = await hashInTpm(turn, 'sha256', nonce);
    const signature = devIdSignature(await signDigest(turn, this.#devId, digest, ticket));
    await turn.flush(this.#devId.handle);
    const ak = { handle: this.#ak.handle };
    return { signature, activated: await device.activateFor(turn, ak, this.#ek, credential) };
  }
}

async function loadDevId(turn: TpmTurn, parent: LoadedKey, files: DevIdFiles): Promise<LoadedKey> {
  try {
    return await loadKey(turn, parent.handle, files.key);
  } catch (error) {
    if (!(error instanceof BonafideError)) throw error;
    throw new BonafideError(
      error.reason,
      `cannot load the DevID key, which must have been made in this TPM under its storage root key (docs/node-attestation/tpm-devid.md): ${error.message}`,
      { cause: error },
    );
  }
}
