/** Attestation by a DevID, a key that was made in this node's TPM and certified by the node's owner. The TPM is open only meanwhile. */
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import {
  formatDevIdAnswer,
  formatDevIdEvidence,
  parseDevIdChallenge,
} from '@bonafide/shared/node-attestation/tpm-devid-messages';
import { checkTpmPath } from '@bonafide/shared/tpm/device/open-transport';
import type { TpmDevice } from '@bonafide/shared/tpm/device/tpm-device';
import type { TpmTurn } from '@bonafide/shared/tpm/device/tpm';
import { z } from 'zod';
import type { NodeAttestor, NodeAttestorPlugin } from '../node-attestor.js';
import { onThisNode, openDevice } from '../tpm/open-device.js';
import { readDevIdFiles, type DevIdFiles } from './devid-files.js';
import { DevIdKeys, type DevIdPasswords } from './devid-keys.js';
import { findTpmDevice } from './find-device.js';

const DEVICES = '/dev';

const filePath = z.string().min(1);
const password = z.string().max(64).default('');

const configSchema = z.strictObject({
  /** PEM, the DevID's own certificate first. */
  devid_cert_path: filePath,
  /** Its key, as TPM2_Create gave it, with or without the size before it. */
  devid_priv_path: filePath,
  devid_pub_path: filePath,
  devid_password: password,
  owner_hierarchy_password: password,
  endorsement_hierarchy_password: password,
  /** Undefined: the one that there is. */
  tpm_device_path: parsedString((path) => {
    checkTpmPath(path);
    return path;
  }).optional(),
});

type TpmDevIdConfig = z.output<typeof configSchema>;

/** The files are read at each attestation, so that what was renewed counts. */
export const tpmDevId: NodeAttestorPlugin<TpmDevIdConfig> = {
  configSchema,
  create: (config, host) => ({
    type: 'tpm_devid',
    isSpent: false,
    async attest(exchange) {
      const files = await readDevIdFiles(config);
      const access = {
        path: config.tpm_device_path ?? (await findTpmDevice(DEVICES)),
        endorsementPassword: config.endorsement_hierarchy_password,
        ownerPassword: config.owner_hierarchy_password,
      };
      await using device = await onThisNode(() => openDevice(access, host));
      // One turn, so that the keys stay loaded while the server thinks: to make them again is what takes a TPM long.
      await device.run((turn) => prove({ turn, device, files, passwords: passwordsOf(config), exchange }));
    },
  }),
};

interface Proof {
  readonly turn: TpmTurn;
  readonly device: TpmDevice;
  readonly files: DevIdFiles;
  readonly passwords: DevIdPasswords;
  readonly exchange: Parameters<NodeAttestor['attest']>[0];
}

async function prove({ turn, device, files, passwords, exchange }: Proof): Promise<void> {
  const keys = await onThisNode(() => DevIdKeys.load(turn, files, passwords));
  const evidence = await onThisNode(() => keys.evidence());
  const message = await exchange.send(formatDevIdEvidence(evidence));
  if (message === undefined) {
    throw new BonafideError('internal', 'the server was satisfied before the DevID had proven anything');
  }
  const challenge = parseDevIdChallenge(message);
  const answer = await onThisNode(() => keys.answer(device, challenge));
  if ((await exchange.send(formatDevIdAnswer(answer))) !== undefined) {
    throw new BonafideError('internal', 'the server sent a second challenge');
  }
}

function passwordsOf(config: TpmDevIdConfig): DevIdPasswords {
  const bytes = (text: string): { password: Buffer } => ({ password: Buffer.from(text, 'utf8') });
  return {
    devId: bytes(config.devid_password),
    owner: bytes(config.owner_hierarchy_password),
    endorsement: bytes(config.endorsement_hierarchy_password),
  };
}
