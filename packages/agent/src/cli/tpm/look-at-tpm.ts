/** What this machine's TPM and boot log say, judged as a server would. */
import { X509Certificate } from 'node:crypto';
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { PCR_COUNT, type PcrBank } from '@bonafide/shared/tpm/algorithm';
import { judgeBoot } from '@bonafide/shared/tpm/measured-boot/boot-state';
import { ekHash } from '@bonafide/shared/tpm/ek-hash';
import { MAXIMUM_IMA_LIST_BYTES, parseImaList } from '@bonafide/shared/tpm/measured-boot/ima-list';
import type { SecureBootState } from '@bonafide/shared/tpm/measured-boot/secure-boot';
import type { TpmClock } from '@bonafide/shared/tpm/tpm-attest';
import { TpmDevice } from '@bonafide/shared/tpm/device/tpm-device';
import { publicKeyOf } from '@bonafide/shared/tpm/tpm-public';
import type { TpmProperties } from '@bonafide/shared/tpm/device/commands/capability';
import { readEventLog, readImaList } from '../../node-attestation/tpm/boot-records.js';

interface TpmPlaces {
  readonly device: string;
  readonly eventLogPath: string;
  readonly imaListPath: string;
}

/** Something that was found, or in one sentence why it was not. */
export type Found<What> =
  { readonly isFound: true; readonly what: What } | { readonly isFound: false; readonly why: string };

export interface TpmReport extends TpmProperties {
  readonly device: string;
  readonly ekHash: string;
  readonly ekType: 'rsa' | 'ecc';
  /** Distinguished name, as `CN=…, O=…`. */
  readonly ekIssuer: Found<string>;
  readonly clock: TpmClock;
  /** Of each active bank, weakest first. */
  readonly pcrs: ReadonlyMap<PcrBank, ReadonlyMap<number, Buffer>>;
  /** How many bytes it has, when it leads to the PCRs of this TPM. */
  readonly eventLog: Found<number>;
  readonly secureBoot: Found<SecureBootState>;
  /** How many entries it has. */
  readonly ima: Found<number>;
}

const ALL_PCRS = Array.from({ length: PCR_COUNT }, (_, pcr) => pcr);

/** @throws BonafideError saying what to do when there is no TPM, or none that may be used. */
export async function lookAtTpm({ device: path, eventLogPath, imaListPath }: TpmPlaces): Promise<TpmReport> {
  const device = await TpmDevice.open({ path });
  try {
    const properties = await device.properties();
    const ek = await device.endorsementKey();
    const pcrs = new Map<PcrBank, ReadonlyMap<number, Buffer>>();
    for (const bank of await device.activeBanks()) pcrs.set(bank, await device.pcrs(bank, ALL_PCRS));
    return {
      ...properties,
      device: path,
      ekHash: ekHash(publicKeyOf(ek.public)),
      ekType: ek.public.type,
      ekIssuer: issuerOf(ek.certificate),
      clock: await device.clock(),
      pcrs,
      ...(await lookAtBoot(eventLogPath, pcrs)),
      ima: await finding(async () => parseImaList(await wholeImaList(imaListPath)).length),
    };
  } finally {
    await device.close();
  }
}

async function lookAtBoot(
  path: string,
  pcrs: TpmReport['pcrs'],
): Promise<Pick<TpmReport, 'eventLog' | 'secureBoot'>> {
  const log = await finding(() => readEventLog(path));
  if (!log.isFound)
    return { eventLog: log, secureBoot: { isFound: false, why: 'there is no boot log to judge it by' } };
  const judged = await finding(() => Promise.resolve(judgeBoot({ log: log.what, quoted: pcrs })));
  if (!judged.isFound) return { eventLog: judged, secureBoot: judged };
  const { secureBoot, secureBootProblem } = judged.what;
  return {
    eventLog: { isFound: true, what: log.what.length },
    secureBoot:
      secureBoot === undefined
        ? { isFound: false, why: secureBootProblem ?? 'nothing proves it' }
        : { isFound: true, what: secureBoot },
  };
}

function wholeImaList(path: string): Promise<Buffer> {
  return readImaList(path, 0, MAXIMUM_IMA_LIST_BYTES);
}

function issuerOf(certificate: Buffer | undefined): TpmReport['ekIssuer'] {
  if (certificate === undefined) {
    return {
      isFound: false,
      why: 'the TPM holds no certificate for it; enroll its hash, or see ek_certificate_path',
    };
  }
  try {
    const issuer = new X509Certificate(certificate).issuer.split('\n').join(', ');
    return { isFound: true, what: issuer };
  } catch (error) {
    return { isFound: false, why: `its certificate cannot be read: ${errorMessage(error)}` };
  }
}

async function finding<What>(look: () => Promise<What>): Promise<Found<What>> {
  try {
    return { isFound: true, what: await look() };
  } catch (error) {
    return { isFound: false, why: errorMessage(error) };
  }
}
