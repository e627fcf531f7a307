/** What the node answers to one challenge: the credential opened, quotes of the PCRs, and what led to their values. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { TpmDevice } from '@bonafide/shared/tpm/device/tpm-device';
import {
  imaRoom,
  quoteExtraData,
  type TpmAnswer,
  type TpmAnswerQuote,
  type TpmChallenge,
} from '@bonafide/shared/tpm/proof/tpm-evidence';
import type { BootRecords } from './boot-records.js';

interface AnswerOptions {
  readonly device: Pick<TpmDevice, 'activate' | 'activeBanks' | 'quote'>;
  readonly records: Pick<BootRecords, 'eventLog' | 'imaEntries'>;
  /** SHA-256 of what the evidence is to be good for, and for nothing else. */
  readonly boundHash: Buffer;
}

/** @throws BonafideError when the TPM cannot do what is asked. */
export async function answerChallenge(
  challenge: TpmChallenge,
  { boundHash, device, records }: AnswerOptions,
): Promise<TpmAnswer> {
  const { banks, credential, imaFrom, nonce, pcrs, secret, wantsEventLog } = challenge;
  const isToActivate = credential !== undefined && secret !== undefined;
  const activated = isToActivate ? await device.activate(credential, secret) : undefined;
  const activeBanks = await device.activeBanks();
  const extraData = quoteExtraData(nonce, boundHash);
  const quotes: TpmAnswerQuote[] = [];
  for (const bank of banks.filter((name) => activeBanks.includes(name))) {
    quotes.push(await device.quote(bank, pcrs, extraData));
  }
  if (quotes.length === 0) {
    throw new BonafideError(
      'failed_precondition',
      `the server asks for PCRs of ${banks.join(', ')}, and the active banks of this TPM are ${activeBanks.join(', ')}; activate one of those in the settings of the firmware, or with tpm2_pcrallocate, and restart the machine`,
    );
  }
  const eventLog = wantsEventLog ? await records.eventLog() : undefined;
  const answer: TpmAnswer = {
    ...(activated === undefined ? {} : { activated }),
    quotes,
    ...(eventLog === undefined ? {} : { eventLog }),
    activeBanks: [...activeBanks],
  };
  if (imaFrom === undefined) return answer;
  // After the quotes: what they cover is in the list by now.
  const list = await records.imaEntries(imaFrom, imaRoom(answer));
  return list === undefined ? answer : { ...answer, ima: { from: imaFrom, list } };
}
