/** Questions to a TPM and its answers, in one proof: each has a nonce of its own, and nothing of an answer is believed before all of it is verified. */
import { randomBytes } from 'node:crypto';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { PCR_BANKS, type PcrBank } from '@bonafide/shared/tpm/algorithm';
import { makeCredential } from '@bonafide/shared/tpm/proof/make-credential';
import { areSameBytes } from '@bonafide/shared/tpm/same-bytes';
import {
  MOST_CHALLENGES,
  NONCE_BYTES,
  formatTpmChallenge,
  parseTpmAnswer,
  quoteExtraData,
  type TpmAnswer,
} from '@bonafide/shared/tpm/proof/tpm-evidence';
import { tpmName, type TpmPublic } from '@bonafide/shared/tpm/tpm-public';
import { verifyQuote, type VerifiedQuote } from '@bonafide/shared/tpm/proof/verify-quote';

interface InterviewOptions {
  readonly ak: TpmPublic;
  /** SHA-256 of what the quotes are to be good for: a CSR, a certificate. */
  readonly boundHash: Buffer;
  readonly challenge: (data: Buffer) => Promise<Buffer>;
}

export interface TpmQuestion {
  /** Given once: whoever answers shows that the attestation key is in the TPM of this endorsement key. */
  readonly ek?: TpmPublic;
  readonly banks: readonly PcrBank[];
  readonly pcrs: readonly number[];
  readonly wantsEventLog: boolean;
  readonly imaFrom: number | undefined;
}

/** What the TPM signed, and what came along and is still to be compared with it. */
export interface TpmTestimony {
  /** Of each active bank. */
  readonly quotes: ReadonlyMap<PcrBank, VerifiedQuote>;
  readonly eventLog: Buffer | undefined;
  readonly ima: TpmAnswer['ima'];
}

const SECRET_BYTES = 32;

export class TpmInterview {
  readonly #options: InterviewOptions;
  #isProven: boolean;
  #asked = 0;

  /** @param isProven whether the attestation key is known to be that TPM's. */
  constructor(options: InterviewOptions, isProven: boolean) {
    this.#options = options;
    this.#isProven = isProven;
  }

  get canAsk(): boolean {
    return this.#asked < MOST_CHALLENGES;
  }

  /** @throws BonafideError `permission_denied` or `invalid_argument` when the answer is not that TPM's, or malformed. */
  async ask({ ek, ...question }: TpmQuestion): Promise<TpmTestimony> {
    const { ak, boundHash, challenge } = this.#options;
    if (!this.canAsk) throw refused(`it needs more than ${MOST_CHALLENGES} questions`);
    this.#asked += 1;
    const nonce = randomBytes(NONCE_BYTES);
    const secret = ek === undefined ? undefined : randomBytes(SECRET_BYTES);
    const answer = parseTpmAnswer(
      await challenge(
        formatTpmChallenge({
          nonce,
          ...(ek === undefined || secret === undefined ? {} : makeCredential(ek, tpmName(ak), secret)),
          banks: [...question.banks],
          pcrs: [...question.pcrs],
          wantsEventLog: question.wantsEventLog,
          ...(question.imaFrom === undefined ? {} : { imaFrom: question.imaFrom }),
        }),
      ),
    );
    if (secret !== undefined) {
      const { activated } = answer;
      if (activated === undefined || !areSameBytes(activated, secret)) {
        throw refused('it could not open the secret that was made for its endorsement and attestation keys');
      }
      this.#isProven = true;
    }
    if (!this.#isProven) throw new BonafideError('internal', 'a TPM was believed before its key was proven');
    const quotes = verifyQuotes(answer, question, { ak, extraData: quoteExtraData(nonce, boundHash) });
    return { quotes, eventLog: answer.eventLog, ima: answer.ima };
  }
}

function verifyQuotes(
  answer: TpmAnswer,
  { banks, pcrs }: TpmQuestion,
  { ak, extraData }: { readonly ak: TpmPublic; readonly extraData: Buffer },
): ReadonlyMap<PcrBank, VerifiedQuote> {
  const quotes = new Map<PcrBank, VerifiedQuote>();
  for (const { bank, attest, signature, pcrs: values } of answer.quotes) {
    if (!banks.includes(bank)) throw refused(`it quoted the bank ${bank}, which was not asked for`);
    quotes.set(bank, verifyQuote({ ak, attest, signature, extraData, bank, pcrs, values }));
  }
  const quoted = new Set(answer.quotes.map(({ bank }) => bank));
  for (const bank of PCR_BANKS) {
    // Which banks are active is the node's own word: a TPM signs a quote of nothing for an active bank too. What it once had it must keep.
    const isOwed = banks.includes(bank) && answer.activeBanks.includes(bank);
    if (isOwed && !quoted.has(bank)) throw refused(`it did not quote its bank ${bank}`);
  }
  if (quotes.size === 0) throw refused('it has no active bank of PCRs');
  checkOneBoot([...quotes.values()]);
  return quotes;
}

/** What all quotes of a testimony say alike. */
export function bootOf({ quotes }: TpmTestimony): VerifiedQuote {
  const [first] = quotes.values();
  if (first === undefined) throw new BonafideError('internal', 'a testimony without a quote was believed');
  return first;
}

/** @throws BonafideError `permission_denied` when the machine was started anew between the two. */
export function checkSameBoot(first: TpmTestimony, second: TpmTestimony): void {
  checkOneBoot([bootOf(first), ...second.quotes.values()]);
}

function checkOneBoot(quotes: readonly VerifiedQuote[]): void {
  const [first] = quotes;
  for (const quote of quotes) {
    const isSame =
      quote.resetCount === first?.resetCount &&
      quote.restartCount === first.restartCount &&
      quote.firmwareVersion === first.firmwareVersion;
    if (!isSame) throw refused('its quotes are of different boots');
  }
}

function refused(problem: string): BonafideError {
  return new BonafideError('permission_denied', `TPM refused: ${problem}`);
}
