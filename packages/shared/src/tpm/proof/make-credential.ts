/** A secret that only one TPM can open, and only for one key it holds: TPM2_MakeCredential (TPM 2.0 Part 1 section 24), made without a TPM. */
import { constants, createCipheriv, createECDH, createHmac, publicEncrypt, randomBytes } from 'node:crypto';
import { invalidArgument } from '../../errors/bonafide-error.js';
import { digestBytes, tpmDigest, type TpmHash } from '../algorithm.js';
import { checkEndorsementKey } from './check-endorsement-key.js';
import { publicKeyOf, type TpmEccPublic, type TpmPublic, type TpmRsaPublic } from '../tpm-public.js';
import { TpmWriter } from '../tpm-writer.js';

/** Both without the two bytes of size that a TPM2B has before it. */
export interface MadeCredential {
  /** TPMS_ID_OBJECT. */
  readonly credential: Buffer;
  /** TPMU_ENCRYPTED_SECRET. */
  readonly secret: Buffer;
}

const LABEL = { seed: 'IDENTITY', encryption: 'STORAGE', integrity: 'INTEGRITY' } as const;
const EMPTY = Buffer.alloc(0);

/**
 * @param name the Name of the key that the TPM must hold, computed from its public area by whoever asks.
 * @param secret at most as long as a digest of the endorsement key's name algorithm.
 * @throws BonafideError when the endorsement key is not of a form that a TPM's is.
 */
export function makeCredential(ek: TpmPublic, name: Buffer, secret: Buffer): MadeCredential {
  checkEndorsementKey(ek);
  const hash = ek.nameAlgorithm;
  if (secret.length === 0 || secret.length > digestBytes(hash))
    throw invalidArgument(`a secret for this endorsement key has 1 to ${digestBytes(hash)} bytes`);
  const { seed, encrypted } = ek.type === 'rsa' ? rsaSeed(ek) : eccSeed(ek);
  const keyBits = ek.symmetric?.keyBits ?? 128;
  const cipher = createCipheriv(
    `aes-${keyBits}-cfb`,
    kdfa(hash, seed, LABEL.encryption, name, keyBits),
    Buffer.alloc(16),
  );
  const identity = Buffer.concat([cipher.update(new TpmWriter().sized(secret).build()), cipher.final()]);
  const integrityKey = kdfa(hash, seed, LABEL.integrity, EMPTY, digestBytes(hash) * 8);
  const integrity = createHmac(hash, integrityKey).update(identity).update(name).digest();
  return { credential: new TpmWriter().sized(integrity).bytes(identity).build(), secret: encrypted };
}

interface Seed {
  readonly seed: Buffer;
  readonly encrypted: Buffer;
}

function rsaSeed(ek: TpmRsaPublic): Seed {
  const seed = randomBytes(digestBytes(ek.nameAlgorithm));
  const encryption = {
    key: publicKeyOf(ek),
    padding: constants.RSA_PKCS1_OAEP_PADDING,
    oaepHash: ek.nameAlgorithm,
    oaepLabel: nullTerminated(LABEL.seed),
  };
  try {
    return { seed, encrypted: publicEncrypt(encryption, seed) };
  } catch (cause) {
    throw invalidArgument('the endorsement key does not encrypt', cause);
  }
}

/** One-pass ECDH (TPM 2.0 Part 1 annex C.6.4). */
function eccSeed(ek: TpmEccPublic): Seed {
  const { curve, x, y } = ek.key;
  const exchange = createECDH(curve === 'P-256' ? 'prime256v1' : 'secp384r1');
  const point = exchange.generateKeys();
  const ephemeralX = point.subarray(1, 1 + x.length);
  const ephemeralY = point.subarray(1 + x.length);
  let shared: Buffer;
  try {
    shared = exchange.computeSecret(Buffer.concat([Buffer.from([4]), x, y]));
  } catch (cause) {
    throw invalidArgument('the endorsement key is no point of its curve', cause);
  }
  return {
    seed: kdfe(ek.nameAlgorithm, shared, LABEL.seed, ephemeralX, x),
    encrypted: new TpmWriter().sized(ephemeralX).sized(ephemeralY).build(),
  };
}

/** KDFa (TPM 2.0 Part 1 section 11.4.10.2), with one context. */
export function kdfa(hash: TpmHash, key: Buffer, label: string, context: Buffer, bits: number): Buffer {
  const blocks: Buffer[] = [];
  for (let counter = 1; (counter - 1) * digestBytes(hash) < bits / 8; counter += 1) {
    const input = new TpmWriter().uint32(counter).bytes(nullTerminated(label)).bytes(context).uint32(bits);
    blocks.push(createHmac(hash, key).update(input.build()).digest());
  }
  return Buffer.concat(blocks).subarray(0, bits / 8);
}

/** KDFe (TPM 2.0 Part 1 section 11.4.10.3), for one digest of bits. */
export function kdfe(hash: TpmHash, shared: Buffer, label: string, ours: Buffer, theirs: Buffer): Buffer {
  const input = new TpmWriter()
    .uint32(1)
    .bytes(shared)
    .bytes(nullTerminated(label))
    .bytes(ours)
    .bytes(theirs);
  return tpmDigest(hash, input.build());
}

function nullTerminated(label: string): Buffer {
  return Buffer.from(`${label}\0`, 'latin1');
}
