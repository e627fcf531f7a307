import { readFileSync } from 'node:fs';
import { parseConfig } from '@bonafide/shared/config/load-config';
import { mergeConfig, type ConfigFile } from '@bonafide/testing/merge-config';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { agentConfigSchema } from './agent-config.js';

const GUIDE = new URL('../../../../docs/agent-apis.md', import.meta.url);
const LEAST: ConfigFile = {
  agent: {
    trust_domain: 'example.org',
    server_address: 'localhost',
    server_port: 8081,
    data_dir: '/var/lib/agent',
    insecure_bootstrap: true,
  },
  plugins: {
    KeyManager: { memory: {} },
    NodeAttestor: { join_token: {} },
    WorkloadAttestor: { unix: {} },
  },
};

const examples = [...readFileSync(GUIDE, 'utf8').matchAll(/^```yaml\n([^]*?)^```$/gm)].map(
  ([, text = '']) => text,
);

describe('the guide to the other APIs', () => {
  it.each(examples)('has configuration that is accepted:\n%s', (text) => {
    const config = mergeConfig(LEAST, parse(text) as ConfigFile);
    expect(() => parseConfig('agent.json', JSON.stringify(config), agentConfigSchema)).not.toThrow();
  });

  it('has some', () => {
    expect(examples).toHaveLength(4);
  });
});
