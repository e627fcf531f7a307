/**
 * Attestation by TPM: the endorsement key says which machine this is, quotes say what it booted. Nothing needs to be provisioned. The TPM is
 * open only while it proves something, since others need it too.
 */
import { readFile } from 'node:fs/promises';
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { checkTpmPath } from '@bonafide/shared/tpm/device/open-transport';
import type { TpmDevice } from '@bonafide/shared/tpm/device/tpm-device';
import {
  formatTpmAnswer,
  formatTpmOffer,
  MOST_CHALLENGES,
  parseTpmChallenge,
  type TpmOffer,
} from '@bonafide/shared/tpm/proof/tpm-evidence';
import { z } from 'zod';
import type { NodeAttestor, NodeAttestorHost, NodeAttestorPlugin } from '../node-attestor.js';
import { answerChallenge } from './answer-challenge.js';
import { BootRecords, DEFAULT_EVENT_LOG_PATH, DEFAULT_IMA_LIST_PATH } from './boot-records.js';
import { readEndorsementCertificates } from './ek-certificate-file.js';
import { onThisNode, openDevice } from './open-device.js';

const DEFAULT_TPM_DEVICE = '/dev/tpmrm0';

const configSchema = z.strictObject({
  device: parsedString((path) => {
    checkTpmPath(path);
    return path;
  }).prefault(DEFAULT_TPM_DEVICE),
  /** In place of what the TPM holds: PEM with its issuers, or DER. */
  ek_certificate_path: z.string().min(1).optional(),
  event_log_path: z.string().min(1).default(DEFAULT_EVENT_LOG_PATH),
  ima_list_path: z.string().min(1).default(DEFAULT_IMA_LIST_PATH),
  /** Files that hold the passwords of the hierarchies, where they are not empty. */
  endorsement_auth_file: z.string().min(1).optional(),
  owner_auth_file: z.string().min(1).optional(),
});

type TpmConfig = z.output<typeof configSchema>;

export const tpm: NodeAttestorPlugin<TpmConfig> = {
  configSchema,
  create: (config, host) => new TpmNodeAttestor(config, host),
};

class TpmNodeAttestor implements NodeAttestor {
  readonly type = 'tpm';
  readonly isSpent = false;
  readonly #config: TpmConfig;
  readonly #host: NodeAttestorHost;
  readonly #records: BootRecords;
  #last: Promise<unknown> = Promise.resolve();

  constructor(config: TpmConfig, host: NodeAttestorHost) {
    this.#config = config;
    this.#host = host;
    this.#records = new BootRecords({
      eventLogPath: config.event_log_path,
      imaListPath: config.ima_list_path,
      log: host.log,
    });
  }

  attest(exchange: Parameters<NodeAttestor['attest']>[0]): Promise<void> {
    return this.#withDevice(async (device) => {
      const challenge = await exchange.send(formatTpmOffer(await onThisNode(() => this.#offer(device))));
      if (challenge === undefined) {
        throw new BonafideError('internal', 'the server was satisfied before the TPM had proven anything');
      }
      await this.#answer(device, challenge, exchange.csrHash, (data) => exchange.send(data));
    });
  }

  prove(exchange: Parameters<NonNullable<NodeAttestor['prove']>>[0]): Promise<void> {
    return this.#withDevice((device) =>
      this.#answer(device, exchange.challenge, exchange.certificateHash, (data) => exchange.send(data)),
    );
  }

  async #answer(
    device: TpmDevice,
    first: Buffer,
    boundHash: Buffer,
    send: (data: Buffer) => Promise<Buffer | undefined>,
  ): Promise<void> {
    let challenge: Buffer | undefined = first;
    for (let count = 1; challenge !== undefined; count += 1) {
      if (count > MOST_CHALLENGES) {
        throw new BonafideError('internal', `the server sent more than ${MOST_CHALLENGES} challenges`);
      }
      const asked = parseTpmChallenge(challenge);
      const answer = await onThisNode(() =>
        answerChallenge(asked, { device, records: this.#records, boundHash }),
      );
      challenge = await send(formatTpmAnswer(answer));
    }
  }

  async #offer(device: TpmDevice): Promise<TpmOffer> {
    const { ek_certificate_path: path } = this.#config;
    const ek = await device.endorsementKey();
    const ak = await device.attestationKey();
    const held =
      path === undefined
        ? { certificate: ek.certificate, chain: ek.chain }
        : await readEndorsementCertificates(path, ek.public);
    return {
      version: 1,
      ...(held.certificate === undefined ? {} : { ekCertificate: held.certificate }),
      ekChain: [...held.chain],
      ekPublic: ek.public.raw,
      akPublic: ak.raw,
    };
  }

  /** One at a time: a renewal and a proof may fall together, and a TPM without a resource manager has one user. */
  #withDevice(work: (device: TpmDevice) => Promise<void>): Promise<void> {
    const turn = this.#last.then(async () => {
      const { device: path, endorsement_auth_file, owner_auth_file } = this.#config;
      const access = {
        path,
        endorsementPassword: await readPassword('endorsement_auth_file', endorsement_auth_file),
        ownerPassword: await readPassword('owner_auth_file', owner_auth_file),
      };
      const device = await onThisNode(() => openDevice(access, this.#host));
      try {
        await work(device);
      } finally {
        await device.close();
      }
    });
    this.#last = turn.catch(() => undefined); // which is told to whoever asked for that turn
    return turn;
  }
}

async function readPassword(key: string, path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    return (await readFile(path, 'utf8')).replace(/\r?\n$/, '');
  } catch (error) {
    throw invalidArgument(`cannot read the file of ${key}, ${path}: ${errorMessage(error)}`, error);
  }
}
