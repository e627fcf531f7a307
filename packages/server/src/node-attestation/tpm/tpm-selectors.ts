/** What a proven TPM and its machine are called in entries: selectors of type `tpm`. */
import { createSelector, type Selector } from '@bonafide/shared/registration/selector';
import { IMA_PCR, PCR_BANKS } from '@bonafide/shared/tpm/algorithm';
import { secureBootWord } from './judge-secure-boot.js';
import type { TpmPolicyConfig } from './tpm-config.js';
import type { TpmRecord } from './tpm-record.js';

const TYPE = 'tpm';

export function tpmSelectors(
  ekHash: string,
  { ek, expected, shown }: TpmRecord,
  policy: Pick<TpmPolicyConfig, 'banks' | 'ima_policy_name'>,
): readonly Selector[] {
  const state = shown ?? expected;
  const { bootLog, ima } = state;
  const secureBoot = secureBootWord(bootLog);
  const values = [
    `ek_hash:${ekHash}`,
    ...ek.authorities.map((fingerprint) => `ek_ca:${fingerprint}`),
    ...(ek.manufacturer === undefined ? [] : [`manufacturer:${ek.manufacturer}`]),
    ...PCR_BANKS.filter((bank) => policy.banks.includes(bank)).flatMap((bank) =>
      Object.entries(state.pcrs[bank] ?? {})
        // It says something else after every program that is started.
        .filter(([pcr]) => pcr !== String(IMA_PCR))
        .map(([pcr, value]) => `pcr:${bank}:${pcr}:${value}`),
    ),
    ...(secureBoot === 'unproven' ? [] : [`secure_boot:${String(secureBoot === 'on')}`]),
    ...(bootLog.kind === 'replayed' ? (bootLog.secureBoot?.dbAuthorities ?? []) : []).map(
      (authority) => `db_authority:${authority}`,
    ),
    ...(ima === undefined || shown !== undefined ? [] : [`ima:policy:${policy.ima_policy_name}`]),
  ];
  return values.map((value) => createSelector(TYPE, value));
}
