/** What a TPM is asked to make: public areas without a key in them (TCG EK Credential Profile 2.5 annex B, TPM 2.0 Provisioning Guidance 7.5). */
import { TPM_ALG, algorithmOf, type TpmHash } from './algorithm.js';
import { attributeBits, type ObjectAttribute } from './object-attribute.js';
import { ekPolicyA, ekPolicyB } from './ek-policy.js';
import { curveId, type TpmCurve } from './tpm-public.js';
import { TpmWriter } from './tpm-writer.js';

type TemplateKey =
  | { readonly type: 'rsa'; readonly bits: number; readonly uniqueBytes?: number }
  | { readonly type: 'ecc'; readonly curve: TpmCurve; readonly uniqueBytes?: number };

export interface KeyTemplate {
  readonly key: TemplateKey;
  readonly nameAlgorithm?: TpmHash;
  readonly attributes: readonly ObjectAttribute[];
  readonly authPolicy?: Buffer;
  /** Of AES in CFB mode, for keys that protect others. */
  readonly symmetricBits?: number;
  /** With SHA-256, for keys that sign. */
  readonly scheme?: 'rsassa' | 'ecdsa';
}

const OF_THIS_TPM = ['fixedTPM', 'fixedParent', 'sensitiveDataOrigin'] as const;
const EK_LOW = [...OF_THIS_TPM, 'adminWithPolicy', 'restricted', 'decrypt'] as const;
const EK_HIGH = [...EK_LOW, 'userWithAuth'] as const;
const STORAGE = [...OF_THIS_TPM, 'userWithAuth', 'noDA', 'restricted', 'decrypt'] as const;
/** `noDA`: who guesses passwords of other keys until the TPM locks must not keep the node from proving itself. */
const ATTESTATION = [...OF_THIS_TPM, 'userWithAuth', 'noDA', 'restricted', 'sign'] as const;

export const EK_TEMPLATE = {
  /** L-1 and L-2: the unique field is zeros as long as the key. */
  lowRsa2048: {
    key: { type: 'rsa', bits: 2048, uniqueBytes: 256 },
    attributes: EK_LOW,
    authPolicy: ekPolicyA('sha256'),
    symmetricBits: 128,
  },
  lowP256: {
    key: { type: 'ecc', curve: 'P-256', uniqueBytes: 32 },
    attributes: EK_LOW,
    authPolicy: ekPolicyA('sha256'),
    symmetricBits: 128,
  },
  /** H-1 to H-3. */
  highRsa2048: {
    key: { type: 'rsa', bits: 2048 },
    attributes: EK_HIGH,
    authPolicy: ekPolicyB('sha256'),
    symmetricBits: 128,
  },
  highP256: {
    key: { type: 'ecc', curve: 'P-256' },
    attributes: EK_HIGH,
    authPolicy: ekPolicyB('sha256'),
    symmetricBits: 128,
  },
  highP384: {
    key: { type: 'ecc', curve: 'P-384' },
    nameAlgorithm: 'sha384',
    attributes: EK_HIGH,
    authPolicy: ekPolicyB('sha384'),
    symmetricBits: 256,
  },
} as const satisfies Record<string, KeyTemplate>;

/** As SPIRE's agents have them: parents of keys that are kept outside the TPM. */
export const STORAGE_TEMPLATE = {
  rsa: { key: { type: 'rsa', bits: 2048 }, attributes: STORAGE, symmetricBits: 128 },
  ecc: { key: { type: 'ecc', curve: 'P-256' }, attributes: STORAGE, symmetricBits: 128 },
} as const satisfies Record<string, KeyTemplate>;

export const ATTESTATION_TEMPLATE = {
  rsa: { key: { type: 'rsa', bits: 2048 }, attributes: ATTESTATION, scheme: 'rsassa' },
  ecc: { key: { type: 'ecc', curve: 'P-256' }, attributes: ATTESTATION, scheme: 'ecdsa' },
} as const satisfies Record<string, KeyTemplate>;

/** As a TPMT_PUBLIC, which `createPrimary` and `createKey` take. */
export function encodeKeyTemplate(template: KeyTemplate): Buffer {
  const { key, nameAlgorithm = 'sha256', symmetricBits, scheme } = template;
  const writer = new TpmWriter()
    .uint16(TPM_ALG[key.type])
    .uint16(algorithmOf(nameAlgorithm))
    .uint32(attributeBits(template.attributes))
    .sized(template.authPolicy ?? Buffer.alloc(0));
  if (symmetricBits === undefined) writer.uint16(TPM_ALG.null);
  else writer.uint16(TPM_ALG.aes).uint16(symmetricBits).uint16(TPM_ALG.cfb);
  if (scheme === undefined) writer.uint16(TPM_ALG.null);
  else writer.uint16(TPM_ALG[scheme]).uint16(TPM_ALG.sha256);
  const unique = Buffer.alloc(key.uniqueBytes ?? 0);
  if (key.type === 'rsa') writer.uint16(key.bits).uint32(0).sized(unique);
  else writer.uint16(curveId(key.curve)).uint16(TPM_ALG.null).sized(unique).sized(unique);
  return writer.build();
}
