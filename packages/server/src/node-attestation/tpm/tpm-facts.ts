/** What is known of a TPM and its machine, for people. */
import { PCR_BANKS } from '@bonafide/shared/tpm/algorithm';
import { createHash } from 'node:crypto';
import type { NodeFact } from '../node-attestor.js';
import { secureBootWord } from './judge-secure-boot.js';
import type { NodeState, TpmRecord } from './tpm-record.js';

export function tpmFacts({ ek, akPublic, expected, shown }: TpmRecord): readonly NodeFact[] {
  const state = shown ?? expected;
  return [
    ...fact('EK certificate', ek.isCertified ? 'verified' : 'none; trusted by its hash'),
    ...fact('Manufacturer', ek.manufacturer),
    ...ek.authorities.map((fingerprint) => ({ name: 'EK authority', value: fingerprint })),
    ...fact(
      'Attestation key',
      akPublic === undefined ? 'forgotten; the next attestation sets it' : keyName(akPublic),
    ),
    ...fact('TPM firmware', state.firmwareVersion),
    ...fact('Resets', String(state.resetCount)),
    ...fact('Secure Boot', secureBootWord(state.bootLog)),
    ...fact('Boot log', bootLogText(state)),
    ...fact('Measured files', state.ima === undefined ? undefined : `${state.ima.count} judged`),
    ...fact('Accepted', shown === undefined ? 'yes' : 'no; PCRs are shown as they are now'),
    ...PCR_BANKS.flatMap((bank) =>
      Object.entries(state.pcrs[bank] ?? {}).map(([pcr, value]) => ({
        name: `PCR ${pcr} (${bank})`,
        value: value + differenceText(expected.pcrs[bank]?.[pcr], value),
      })),
    ),
  ];
}

function fact(name: string, value: string | undefined): readonly NodeFact[] {
  return value === undefined ? [] : [{ name, value }];
}

/** What it is the hash of is not secret; the whole is long. */
function keyName(akPublic: string): string {
  return createHash('sha256').update(Buffer.from(akPublic, 'base64')).digest('hex');
}

function bootLogText({ bootLog }: NodeState): string {
  switch (bootLog.kind) {
    case 'none':
      return 'none';
    case 'refused':
      return `refused: ${bootLog.problem}`;
    case 'replayed':
      return bootLog.secureBootProblem === undefined
        ? 'leads to the PCRs'
        : `leads to the PCRs, says nothing of Secure Boot: ${bootLog.secureBootProblem}`;
  }
}

function differenceText(before: string | undefined, now: string): string {
  return before === undefined || before === now ? '' : ` (accepted was ${before})`;
}
