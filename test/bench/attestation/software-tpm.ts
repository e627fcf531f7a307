/** Keys in this process in the place of a TPM: no server can tell them from one, and they are not slow. */
import { createDecipheriv, createECDH, type ECDH } from 'node:crypto';
import type { NodeAttestor } from '@bonafide/agent/node-attestation/node-attestor';
import type { PcrBank } from '@bonafide/shared/tpm/algorithm';
import { EK_TEMPLATE, encodeKeyTemplate } from '@bonafide/shared/tpm/key-template';
import { ekHash } from '@bonafide/shared/tpm/ek-hash';
import { kdfa, kdfe } from '@bonafide/shared/tpm/proof/make-credential';
import {
  formatTpmAnswer,
  formatTpmOffer,
  parseTpmChallenge,
  quoteExtraData,
  type TpmAnswer,
  type TpmChallenge,
  type TpmOffer,
} from '@bonafide/shared/tpm/proof/tpm-evidence';
import { parseTpmPublic, publicKeyOf, tpmName, type TpmEccPublic } from '@bonafide/shared/tpm/tpm-public';
import { TpmReader } from '@bonafide/shared/tpm/tpm-reader';
import { TpmWriter } from '@bonafide/shared/tpm/tpm-writer';
import { ForgedAttestationKey } from '@bonafide/testing/forged-attestation-key';

const CURVE_BYTES = 32;
/** An empty point at the end of the template: two coordinates, each after its size. */
const UNIQUE_BYTES = 2 * (2 + CURVE_BYTES);

/** A machine as it booted. */
export interface Machine {
  readonly pcrs: ReadonlyMap<PcrBank, ReadonlyMap<number, Buffer>>;
  readonly eventLog: Buffer;
  /** The list of measured files from an entry on; undefined: it has none. */
  readonly imaFrom?: (entry: number) => Buffer;
}

export class SoftwareTpm {
  readonly #ek: ECDH;
  readonly #ekPublic: TpmEccPublic;
  readonly #ak = new ForgedAttestationKey();
  machine: Machine;
  resetCount = 1;

  constructor(machine: Machine) {
    this.machine = machine;
    this.#ek = createECDH('prime256v1');
    const point = this.#ek.generateKeys();
    const template = encodeKeyTemplate(EK_TEMPLATE.lowP256);
    const key = parseTpmPublic(
      new TpmWriter()
        .bytes(template.subarray(0, -UNIQUE_BYTES))
        .sized(point.subarray(1, 1 + CURVE_BYTES))
        .sized(point.subarray(1 + CURVE_BYTES))
        .build(),
    );
    if (key.type !== 'ecc') throw new Error('the template is not that of an ECC key');
    this.#ekPublic = key;
  }

  get ekHash(): string {
    return ekHash(publicKeyOf(this.#ekPublic));
  }

  get attestor(): NodeAttestor {
    return {
      type: 'tpm',
      isSpent: false,
      attest: async (exchange) => {
        const offer: TpmOffer = {
          ...{ version: 1, ekChain: [] },
          ekPublic: this.#ekPublic.raw,
          akPublic: this.#ak.public.raw,
        };
        await this.#answerAll(await exchange.send(formatTpmOffer(offer)), exchange.csrHash, exchange);
      },
      prove: (exchange) => this.#answerAll(exchange.challenge, exchange.certificateHash, exchange),
    };
  }

  async #answerAll(
    first: Buffer | undefined,
    boundHash: Buffer,
    exchange: Pick<Parameters<NodeAttestor['attest']>[0], 'send'>,
  ): Promise<void> {
    for (let challenge = first; challenge !== undefined;) {
      challenge = await exchange.send(formatTpmAnswer(this.#answer(parseTpmChallenge(challenge), boundHash)));
    }
  }

  #answer(challenge: TpmChallenge, boundHash: Buffer): TpmAnswer {
    const { nonce, credential, secret, imaFrom, wantsEventLog } = challenge;
    const { pcrs, eventLog, imaFrom: listFrom } = this.machine;
    const extraData = quoteExtraData(nonce, boundHash);
    const quotes = [...pcrs]
      .filter(([bank]) => challenge.banks.includes(bank))
      .map(([bank, all]) => {
        const values = new Map(challenge.pcrs.map((pcr) => [pcr, all.get(pcr) ?? Buffer.alloc(0)]));
        const signed = this.#ak.quote(bank, values, { extraData, resetCount: this.resetCount });
        return { bank, ...signed, pcrs: values };
      });
    return {
      ...(credential === undefined || secret === undefined
        ? {}
        : { activated: this.#activate(credential, secret) }),
      ...(wantsEventLog ? { eventLog } : {}),
      ...(imaFrom === undefined || listFrom === undefined
        ? {}
        : { ima: { from: imaFrom, list: listFrom(imaFrom) } }),
      quotes,
      activeBanks: [...pcrs.keys()],
    };
  }

  /** TPM2_ActivateCredential without its checks (TPM 2.0 Part 1 section 24.5). */
  #activate(credential: Buffer, secret: Buffer): Buffer {
    const point = new TpmReader(secret, 'secret');
    const [x, y] = [point.readSized(CURVE_BYTES, 'x'), point.readSized(CURVE_BYTES, 'y')];
    const shared = this.#ek.computeSecret(Buffer.concat([Buffer.from([4]), x, y]));
    const seed = kdfe('sha256', shared, 'IDENTITY', x, this.#ekPublic.key.x);
    const made = new TpmReader(credential, 'credential');
    const identity = credential.subarray(2 + made.readSized(CURVE_BYTES, 'integrity').length);
    const key = kdfa('sha256', seed, 'STORAGE', tpmName(this.#ak.public), 128);
    const decipher = createDecipheriv('aes-128-cfb', key, Buffer.alloc(16));
    const plain = Buffer.concat([decipher.update(identity), decipher.final()]);
    return new TpmReader(plain, 'secret').readSized(CURVE_BYTES, 'secret');
  }
}
