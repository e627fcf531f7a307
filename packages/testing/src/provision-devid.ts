/** A DevID, provisioned as an owner of machines does it: a key made in the TPM, certified by an authority that saw it being made. */
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { createKey, createPrimary } from '@bonafide/shared/tpm/device/commands/objects';
import { encodeKeyTemplate, STORAGE_TEMPLATE, type KeyTemplate } from '@bonafide/shared/tpm/key-template';
import { TpmDevice } from '@bonafide/shared/tpm/device/tpm-device';
import { parseTpmPublic, publicKeyOf } from '@bonafide/shared/tpm/tpm-public';
import { createTestParty, type TestParty, type TestPartyWish } from './test-party.js';

type DevIdType = 'rsa' | 'ecc';

interface ProvisionedDevId {
  /** DER. */
  readonly certificate: Buffer;
  /** Without the sizes before them. */
  readonly privateBlob: Buffer;
  readonly publicBlob: Buffer;
}

export interface DevIdWish {
  readonly type: DevIdType;
  readonly issuer: TestParty;
  readonly password?: string;
  readonly ownerPassword?: string;
  /** In place of those of a good one. */
  readonly template?: Partial<KeyTemplate>;
  readonly certificate?: Partial<TestPartyWish>;
}

const KEYS = {
  rsa: { key: { type: 'rsa', bits: 2048 }, scheme: 'rsassa' },
  ecc: { key: { type: 'ecc', curve: 'P-256' }, scheme: 'ecdsa' },
} as const satisfies Record<DevIdType, Pick<KeyTemplate, 'key' | 'scheme'>>;

/** @param path of the TPM, as `openTpmTransport` takes it. */
export async function provisionDevId(path: string, wish: DevIdWish): Promise<ProvisionedDevId> {
  const { type, issuer, password = '', ownerPassword = '' } = wish;
  await using device = await TpmDevice.open({ path });
  const key = await device.run(async (turn) => {
    const parent = await createPrimary(turn, 'owner', {
      template: encodeKeyTemplate(STORAGE_TEMPLATE[type]),
      authorization: { password: Buffer.from(ownerPassword) },
    });
    const template = encodeKeyTemplate({
      ...KEYS[type],
      attributes: ['fixedTPM', 'fixedParent', 'sensitiveDataOrigin', 'userWithAuth', 'sign'],
      ...wish.template,
    });
    return createKey(turn, parent.handle, { template, password: Buffer.from(password) });
  });
  const spki = exportSpki(publicKeyOf(parseTpmPublic(key.publicBlob)));
  const { certificate } = await createTestParty({ name: 'devid', issuer, spki, ...wish.certificate });
  return { certificate, ...key };
}
