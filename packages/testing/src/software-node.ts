/** A machine with a software TPM: it boots by a log, and answers the challenges of the `tpm` attestor, truthfully or as a test has it lie. */
import { digestBytes } from '@bonafide/shared/tpm/algorithm';
import { extendPcr } from '@bonafide/shared/tpm/device/commands/pcrs';
import { measurementsOf, parseEventLog } from '@bonafide/shared/tpm/measured-boot/event-log';
import type { PcrBank } from '@bonafide/shared/tpm/algorithm';
import { TpmDevice } from '@bonafide/shared/tpm/device/tpm-device';
import {
  formatTpmAnswer,
  formatTpmOffer,
  parseTpmChallenge,
  quoteExtraData,
  type TpmAnswer,
  type TpmAnswerQuote,
  type TpmChallenge,
  type TpmOffer,
} from '@bonafide/shared/tpm/proof/tpm-evidence';
import { launchSwtpm, type LaunchSwtpmOptions, type Swtpm } from './launch-swtpm.js';

type Lie = (answer: TpmAnswer, challenge: TpmChallenge) => TpmAnswer | Promise<TpmAnswer>;

export class SoftwareNode implements AsyncDisposable {
  readonly swtpm: Swtpm;
  /** As the machine shows it; undefined: it has none. */
  eventLog: Buffer | undefined;
  readonly challenges: TpmChallenge[] = [];

  private constructor(swtpm: Swtpm) {
    this.swtpm = swtpm;
  }

  static async launch(options: LaunchSwtpmOptions = {}): Promise<SoftwareNode> {
    return new SoftwareNode(await launchSwtpm(options));
  }

  /** Starts the machine anew, and measures what the log says into every active bank. */
  async boot(eventLog: Buffer): Promise<void> {
    await this.swtpm.restart();
    this.eventLog = eventLog;
    await this.#withTpm(async (tpm) => {
      const banks = await tpm.activeBanks();
      for (const { pcr, digests } of measurementsOf(parseEventLog(eventLog))) {
        for (const bank of banks) {
          const digest = digests.get(bank);
          if (digest !== undefined) await tpm.run((turn) => extendPcr(turn, bank, pcr, digest));
        }
      }
    });
  }

  extend(bank: PcrBank, pcr: number, byte: number): Promise<void> {
    const digest = Buffer.alloc(digestBytes(bank), byte);
    return this.#withTpm((tpm) => tpm.run((turn) => extendPcr(turn, bank, pcr, digest)));
  }

  offer(): Promise<TpmOffer> {
    return this.#withTpm(async (tpm) => {
      const { certificate, chain, public: ek } = await tpm.endorsementKey();
      const ak = await tpm.attestationKey();
      const ekCertificate = certificate === undefined ? {} : { ekCertificate: certificate };
      return { version: 1, ...ekCertificate, ekChain: [...chain], ekPublic: ek.raw, akPublic: ak.raw };
    });
  }

  async payload(): Promise<Buffer> {
    return formatTpmOffer(await this.offer());
  }

  /** For `NodeEvidence.challenge`. */
  answering(boundHash: Buffer, lie: Lie = (answer) => answer): (data: Buffer) => Promise<Buffer> {
    return async (data) => {
      const challenge = parseTpmChallenge(data);
      this.challenges.push(challenge);
      return formatTpmAnswer(await lie(await this.answer(challenge, boundHash), challenge));
    };
  }

  answer(challenge: TpmChallenge, boundHash: Buffer): Promise<TpmAnswer> {
    return this.#withTpm(async (tpm) => {
      const { banks, pcrs, nonce, credential, secret } = challenge;
      const activated =
        credential === undefined || secret === undefined
          ? {}
          : { activated: await tpm.activate(credential, secret) };
      const activeBanks = await tpm.activeBanks();
      const extraData = quoteExtraData(nonce, boundHash);
      const quotes: TpmAnswerQuote[] = [];
      for (const bank of banks.filter((each) => activeBanks.includes(each))) {
        quotes.push(await tpm.quote(bank, pcrs, extraData));
      }
      const eventLog =
        challenge.wantsEventLog && this.eventLog !== undefined ? { eventLog: this.eventLog } : {};
      return { ...activated, quotes, ...eventLog, activeBanks: [...activeBanks] };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.swtpm.stop();
  }

  /** It serves one client at a time, and restarts in between. */
  async #withTpm<T>(work: (tpm: TpmDevice) => Promise<T>): Promise<T> {
    await using tpm = await TpmDevice.open({ path: this.swtpm.path });
    return await work(tpm);
  }
}
