/** Configuration files of SPIRE as the tests read and convert them. */
import { agentConfigSchema } from '@bonafide/agent/configuration/agent-config';
import { agentTranslation } from '@bonafide/agent/configuration/spire/agent-translation';
import { oidcConfigSchema } from '@bonafide/oidc/configuration/oidc-config';
import { oidcTranslation } from '@bonafide/oidc/configuration/spire/oidc-translation';
import { serverConfigSchema } from '@bonafide/server/configuration/server-config';
import { serverTranslation } from '@bonafide/server/configuration/spire/server-translation';
import { changedKeys } from '@bonafide/shared/config/config-changes';
import { convertConfig } from '@bonafide/shared/config/convert-config';
import { parseConfig } from '@bonafide/shared/config/load-config';
import { parseSpireFile } from '@bonafide/shared/config/spire/spire-file';
import type { SpireTranslation } from '@bonafide/shared/config/spire/spire-rules';
import { expect } from 'vitest';
import type { z } from 'zod';

export interface Kind {
  readonly schema: z.ZodType;
  readonly translation: SpireTranslation;
}

export const SERVER: Kind = { schema: serverConfigSchema, translation: serverTranslation };
export const AGENT: Kind = { schema: agentConfigSchema, translation: agentTranslation };
export const OIDC: Kind = { schema: oidcConfigSchema, translation: oidcTranslation };

export async function load(
  text: string,
  { schema, translation }: Kind,
  warn?: (text: string) => void,
): Promise<unknown> {
  const options = { overrides: [], hints: [], warn };
  const { config } = await parseSpireFile('spire.conf', text, schema, translation, options);
  return config;
}

export async function expectSameAfterConversion(text: string, kind: Kind): Promise<void> {
  const { yaml } = await convertConfig('spire.conf', text, kind.schema, kind.translation);
  const again: unknown = parseConfig('converted.yaml', yaml, kind.schema);
  expect(changedKeys(await load(text, kind), again)).toEqual([]);
}
