/** Entra ID, the resource manager and the Resource Graph as far as node attestation asks them, in their shapes, on a plain HTTP server. */
import { startHttpStandIn, type HttpStandIn, type StandInRequest } from './http-stand-in.js';

export const TENANT = 'a0a0a0a0-1111-2222-3333-444444444444';
export const SUBSCRIPTION = 'd5b40d61-272e-48da-beb9-05f295c42bd6';
export const VM = '5c08b38e-4d57-4c23-ac45-aca61037f084';

/** As the Resource Graph tells of a machine. */
export const AZURE_MACHINE = {
  id: `/subscriptions/${SUBSCRIPTION}/resourceGroups/frontend/providers/Microsoft.Compute/virtualMachines/blog`,
  name: 'blog',
  location: 'eastus',
  tags: { environment: 'production', secret: 'x' },
  vmId: VM,
  resourceGroup: 'frontend',
};
const INTERFACE = {
  subnets: [{ vnet: 'vnet', name: 'default' }],
  securityGroup: { resourceGroup: 'frontend', name: 'webservers' },
};
const id = (path: string): { id: string } => ({
  id: `/subscriptions/${SUBSCRIPTION}/resourceGroups/net/providers/Microsoft.Network/${path}`,
});
const SET_MEMBER = {
  name: 'myvmss_3',
  location: 'westus',
  tags: { environment: 'test' },
  properties: {
    vmId: VM.toUpperCase(),
    networkProfileConfiguration: {
      networkInterfaceConfigurations: [
        {
          name: 'nic',
          properties: {
            networkSecurityGroup: id('networkSecurityGroups/nsg'),
            ipConfigurations: [{ properties: { subnet: id('virtualNetworks/vnet/subnets/apps') } }],
          },
        },
      ],
    },
  },
};

/** Undefined for whoever has no token. */
function azure({ path, body, headers }: StandInRequest, machines: readonly unknown[]): unknown {
  if (path === '/example.onmicrosoft.com/.well-known/openid-configuration')
    return { issuer: `https://sts.windows.net/${TENANT}/` };
  if (path === `/${TENANT}/oauth2/v2.0/token`) {
    const form = new URLSearchParams(body);
    if (form.get('client_id') !== 'app' || form.get('client_secret') !== 'app secret') return undefined;
    return { token_type: 'Bearer', expires_in: 3599, access_token: 'azure-token' };
  }
  if (headers['authorization'] !== 'Bearer azure-token') return undefined;
  if (path.startsWith('/providers/Microsoft.ResourceGraph/')) {
    const { query } = JSON.parse(body) as { query: string };
    if (query.includes('networkinterfaces')) return { totalRecords: 1, data: [INTERFACE] };
    if (query.includes('virtualmachinescalesets'))
      return { data: [{ name: 'myvmss', resourceGroup: 'backend' }] };
    return { totalRecords: machines.length, data: machines };
  }
  if (path.includes('/virtualMachineScaleSets/myvmss/virtualMachines')) {
    return path.includes('page=2')
      ? { value: [SET_MEMBER] }
      : { value: [{ name: 'myvmss_1', location: 'westus' }], nextLink: `${path}&page=2` };
  }
  return undefined;
}

/** @param machines that the Resource Graph finds. */
export function startAzureStandIn(machines: readonly unknown[] = [AZURE_MACHINE]): Promise<HttpStandIn> {
  return startHttpStandIn((request) => {
    const made = azure(request, machines);
    return made === undefined ? { status: 401, body: '{}' } : { body: JSON.stringify(made) };
  });
}
