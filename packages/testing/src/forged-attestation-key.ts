/** A key outside of any TPM that claims what a test wants, and signs it: for verifiers that must not believe everything. */
import { sign, type KeyObject } from 'node:crypto';
import { TPM_ALG, algorithmOf, tpmDigest, type PcrBank, type TpmHash } from '@bonafide/shared/tpm/algorithm';
import { encodePcrSelection } from '@bonafide/shared/tpm/pcr-selection';
import { attributeBits, type ObjectAttribute } from '@bonafide/shared/tpm/object-attribute';
import { parseTpmPublic, qualifiedNameOfPrimary, type TpmPublic } from '@bonafide/shared/tpm/tpm-public';
import { TpmWriter } from '@bonafide/shared/tpm/tpm-writer';
import { makeKeyPair } from './make-key-pair.js';

export interface ForgedKeyOptions {
  /** Those of a good attestation key unless told. */
  readonly attributes?: readonly ObjectAttribute[];
  readonly nameAlgorithm?: TpmHash;
  /** Of its scheme; sha256 unless told. */
  readonly hash?: TpmHash;
}

export interface ForgedAttest {
  readonly magic?: number;
  readonly type?: number;
  readonly qualifiedSigner?: Buffer;
  readonly extraData: Buffer;
  readonly resetCount?: number;
  readonly firmwareVersion?: bigint;
  /** By which the signature says it was made; the key's own unless told. */
  readonly signatureHash?: TpmHash;
  /** What comes after the fields that all attestations have. */
  readonly body: Buffer;
}

export interface SignedForgery {
  readonly attest: Buffer;
  readonly signature: Buffer;
}

const GOOD: readonly ObjectAttribute[] = [
  'fixedTPM',
  'fixedParent',
  'sensitiveDataOrigin',
  'userWithAuth',
  'restricted',
  'sign',
];
const MAGIC = 0xff544347;
const QUOTE_TYPE = 0x8018;
export const CERTIFY_TYPE = 0x8017;

export class ForgedAttestationKey {
  readonly public: TpmPublic;
  readonly #privateKey: KeyObject;
  readonly #hash: TpmHash;

  constructor(options: ForgedKeyOptions = {}) {
    const { attributes = GOOD, nameAlgorithm = 'sha256', hash = 'sha256' } = options;
    const { publicKey, privateKey } = makeKeyPair('ec', { namedCurve: 'P-256' });
    const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
    this.#privateKey = privateKey;
    this.#hash = hash;
    const area = new TpmWriter()
      .uint16(TPM_ALG.ecc)
      .uint16(algorithmOf(nameAlgorithm))
      .uint32(attributeBits(attributes))
      .sized(Buffer.alloc(0))
      .uint16(TPM_ALG.null)
      .uint16(TPM_ALG.ecdsa)
      .uint16(algorithmOf(hash))
      .uint16(0x0003)
      .uint16(TPM_ALG.null)
      .sized(Buffer.from(x, 'base64url'))
      .sized(Buffer.from(y, 'base64url'));
    this.public = parseTpmPublic(area.build());
  }

  /** A quote as a TPM would make it, but for what is told otherwise. */
  quote(
    bank: PcrBank,
    values: ReadonlyMap<number, Buffer>,
    attest: Omit<ForgedAttest, 'body'> & { readonly selection?: Buffer },
  ): SignedForgery {
    const pcrs = [...values.keys()].sort((a, b) => a - b);
    const digest = tpmDigest(this.#hash, ...pcrs.map((pcr) => values.get(pcr) ?? Buffer.alloc(0)));
    const selection = attest.selection ?? encodePcrSelection(bank, pcrs);
    return this.sign({ ...attest, body: new TpmWriter().bytes(selection).sized(digest).build() });
  }

  certify(name: Buffer, extraData: Buffer): SignedForgery {
    return this.sign({
      type: CERTIFY_TYPE,
      extraData,
      body: new TpmWriter().sized(name).sized(name).build(),
    });
  }

  sign(forged: ForgedAttest): SignedForgery {
    const signer = forged.qualifiedSigner ?? qualifiedNameOfPrimary(this.public, 'endorsement');
    const counters = Buffer.alloc(8 + 4 + 4 + 1 + 8);
    counters.writeBigUInt64BE(12_345n, 0);
    counters.writeUInt32BE(forged.resetCount ?? 7, 8);
    counters.writeUInt8(1, 16);
    counters.writeBigUInt64BE(forged.firmwareVersion ?? 0x20190123n, 17);
    const attest = new TpmWriter()
      .uint32(forged.magic ?? MAGIC)
      .uint16(forged.type ?? QUOTE_TYPE)
      .sized(signer)
      .sized(forged.extraData)
      .bytes(counters)
      .bytes(forged.body)
      .build();
    const hash = forged.signatureHash ?? this.#hash;
    const plain = sign(hash, attest, { key: this.#privateKey, dsaEncoding: 'ieee-p1363' });
    const signature = new TpmWriter()
      .uint16(TPM_ALG.ecdsa)
      .uint16(algorithmOf(hash))
      .sized(plain.subarray(0, 32))
      .sized(plain.subarray(32))
      .build();
    return { attest, signature };
  }
}
