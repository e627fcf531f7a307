/** The TPM of this machine, as attestation needs it: its endorsement key, one attestation key, credentials, quotes. */
import { BonafideError } from '../../errors/bonafide-error.js';
import type { Clock } from '../../runtime/clock.js';
import { tpmDigest, type PcrBank } from '../algorithm.js';
import { activateCredential, quotePcrs, type KeyInUse } from './commands/attestation.js';
import {
  readActiveBanks,
  readClock,
  readHandles,
  readProperties,
  type TpmProperties,
} from './commands/capability.js';
import { createPrimary, type LoadedKey } from './commands/objects.js';
import { readPcrs } from './commands/pcrs.js';
import { policyOr, policySecret, startPolicySession } from './commands/policy-session.js';
import { ekPolicyA, ekPolicyB, ekPolicyBranches, hasEkPolicy } from '../ek-policy.js';
import { findEndorsementKey, type EndorsementKey, type HierarchyPasswords } from './find-endorsement-key.js';
import { TPM_HANDLE } from '../hierarchy.js';
import { ATTESTATION_TEMPLATE, encodeKeyTemplate } from '../key-template.js';
import type { MadeCredential } from '../proof/make-credential.js';
import { openTpmTransport } from './open-transport.js';
import { parseTpmAttest, type TpmClock } from '../tpm-attest.js';
import type { TpmPublic } from '../tpm-public.js';
import { Tpm, type TpmTurn } from './tpm.js';

interface TpmDeviceOptions {
  /** `/dev/tpmrm0`, `unix:/path` or `tcp:host:port`. */
  readonly path: string;
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
  /** Of the hierarchies; empty unless told. */
  readonly endorsementPassword?: string | undefined;
  readonly ownerPassword?: string | undefined;
  /** For a command, but for those that make keys; half a minute unless told. */
  readonly limitMs?: number;
}

export interface DeviceQuote {
  readonly bank: PcrBank;
  readonly attest: Buffer;
  readonly signature: Buffer;
  /** The values that were quoted. */
  readonly pcrs: ReadonlyMap<number, Buffer>;
}

const FIRST_TRANSIENT = 0x80000000;
const FIRST_SESSION = 0x02000000;
const MOST_QUOTES = 16;
const AK_TEMPLATE = encodeKeyTemplate(ATTESTATION_TEMPLATE.ecc);

/** Close it after use: a TPM without a resource manager serves one program at a time. */
export class TpmDevice implements AsyncDisposable {
  readonly #tpm: Tpm;
  readonly #passwords: HierarchyPasswords;
  #endorsementKey: Promise<EndorsementKey> | undefined;

  private constructor(tpm: Tpm, passwords: HierarchyPasswords) {
    this.#tpm = tpm;
    this.#passwords = passwords;
  }

  /** @throws BonafideError saying what to do when there is no TPM, or none that we may use. */
  static async open(options: TpmDeviceOptions): Promise<TpmDevice> {
    const { path, clock, signal, limitMs, endorsementPassword = '', ownerPassword = '' } = options;
    const transport = await openTpmTransport(path, signal);
    const tpm = new Tpm({
      transport,
      ...(clock === undefined ? {} : { clock }),
      ...(limitMs === undefined ? {} : { limitMs }),
    });
    try {
      if (!transport.isShared) await tpm.run(flushLeftovers, signal);
    } catch (error) {
      await tpm.close();
      throw error;
    }
    return new TpmDevice(tpm, {
      endorsement: { password: Buffer.from(endorsementPassword, 'utf8') },
      owner: { password: Buffer.from(ownerPassword, 'utf8') },
    });
  }

  /** For what attestors do with commands of their own. What `work` makes is flushed when it is done. */
  run<T>(work: (turn: TpmTurn) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#tpm.run(work, signal);
  }

  /** Found once; the answer is kept for as long as the device is open. */
  async endorsementKey(signal?: AbortSignal): Promise<EndorsementKey> {
    this.#endorsementKey ??= this.run((turn) => findEndorsementKey(turn, this.#passwords), signal);
    try {
      return await this.#endorsementKey;
    } catch (error) {
      this.#endorsementKey = undefined;
      throw error;
    }
  }

  /** ECC P-256, restricted, a primary key of the endorsement hierarchy: the same one each time, and nothing of it is on the disk. */
  attestationKey(signal?: AbortSignal): Promise<TpmPublic> {
    return this.run(async (turn) => (await this.#makeAttestationKey(turn)).public, signal);
  }

  /** @returns the secret. @throws BonafideError `permission_denied` when it was not made for this TPM and its attestation key. */
  async activate(credential: Buffer, secret: Buffer, signal?: AbortSignal): Promise<Buffer> {
    const ek = await this.endorsementKey(signal);
    return this.run(async (turn) => {
      const ak = await this.#makeAttestationKey(turn);
      return this.activateFor(turn, { handle: ak.handle }, ek, { credential, secret });
    }, signal);
  }

  /** The same for an attestation key that the caller has loaded. */
  async activateFor(turn: TpmTurn, ak: KeyInUse, ek: EndorsementKey, made: MadeCredential): Promise<Buffer> {
    const loaded =
      'handle' in ek.source ? ek.source.handle : await this.#makeEndorsementKey(turn, ek.source.template);
    const session = await this.#satisfyPolicy(turn, ek.public);
    return activateCredential(turn, ak, { handle: loaded, authorization: { session } }, made);
  }

  /** The quote and the values it covers, which are of one moment. */
  quote(
    bank: PcrBank,
    pcrs: readonly number[],
    extraData: Buffer,
    signal?: AbortSignal,
  ): Promise<DeviceQuote> {
    return this.run(async (turn) => {
      const ak = await this.#makeAttestationKey(turn);
      for (let attempt = 0; attempt < MOST_QUOTES; attempt += 1) {
        const values = await readPcrs(turn, bank, pcrs);
        const signed = await quotePcrs(turn, ak, { bank, pcrs, extraData });
        const attest = parseTpmAttest(signed.attest);
        const digest = tpmDigest('sha256', ...values.values());
        if (attest.kind === 'quote' && attest.pcrDigest.equals(digest))
          return { bank, ...signed, pcrs: values };
      }
      throw new BonafideError('unavailable', "the TPM's PCRs change all the time; none could be quoted");
    }, signal);
  }

  pcrs(bank: PcrBank, pcrs: readonly number[], signal?: AbortSignal): Promise<ReadonlyMap<number, Buffer>> {
    return this.run((turn) => readPcrs(turn, bank, pcrs), signal);
  }

  /** Weakest first. */
  activeBanks(signal?: AbortSignal): Promise<readonly PcrBank[]> {
    return this.run(readActiveBanks, signal);
  }

  properties(signal?: AbortSignal): Promise<TpmProperties> {
    return this.run(readProperties, signal);
  }

  clock(signal?: AbortSignal): Promise<TpmClock> {
    return this.run(readClock, signal);
  }

  close(): Promise<void> {
    return this.#tpm.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #makeAttestationKey(turn: TpmTurn): Promise<LoadedKey> {
    const authorization = this.#passwords.endorsement;
    return createPrimary(turn, 'endorsement', { template: AK_TEMPLATE, authorization });
  }

  async #makeEndorsementKey(turn: TpmTurn, template: Buffer): Promise<number> {
    const authorization = this.#passwords.endorsement;
    return (await createPrimary(turn, 'endorsement', { template, authorization })).handle;
  }

  async #satisfyPolicy(turn: TpmTurn, ek: TpmPublic): Promise<number> {
    const hash = ek.nameAlgorithm;
    const isKnown =
      hasEkPolicy(hash) && [ekPolicyA(hash), ekPolicyB(hash)].some((known) => known.equals(ek.authPolicy));
    if (!isKnown)
      throw new BonafideError(
        'failed_precondition',
        "the TPM's endorsement key has a policy that is none of the TCG's",
      );
    const session = await startPolicySession(turn, hash);
    await policySecret(turn, session, TPM_HANDLE.endorsement, this.#passwords.endorsement);
    if (ek.authPolicy.equals(ekPolicyB(hash))) await policyOr(turn, session, ekPolicyBranches(hash));
    return session;
  }
}

/** A TPM that is ours alone has few places; what a program that was killed left in them is in the way. */
async function flushLeftovers(turn: TpmTurn): Promise<void> {
  const leftovers = [
    ...(await readHandles(turn, FIRST_TRANSIENT)),
    ...(await readHandles(turn, FIRST_SESSION)),
  ];
  for (const handle of leftovers) await turn.flush(handle);
}
