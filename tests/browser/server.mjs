// A certified OpenID provider (oidc-provider) in the shape of a CRM's sign-in.
//
// First line on standard input, as JSON:
//   {"shape": "salesforce" | "entra", "client_id", "client_secret", "redirect_uris": []}
// Standard output has an event a line, the first one being `listening` with its address. Further
// lines are commands, each answered by the event `done`: `end-access-tokens` ends every access
// token given so far, `mark` does nothing. The end of the input ends the server.
//
// Only what the CRM adds to the standards is written here: the paths, the fields of its token
// answer, and an API that asks for a token. Everything else is the provider's own behaviour.

import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

import { Provider } from 'oidc-provider';

const tell = (event, fields = {}) => console.log(JSON.stringify({ event, ...fields }));

const lines = createInterface({ input: process.stdin });
lines.on('close', () => process.exit(0));
const options = JSON.parse((await once(lines, 'line'))[0]);

const server = createServer();
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const base = `http://127.0.0.1:${server.address().port}`;

const hash = (...parts) => createHash('sha256').update(parts.join('\n')).digest('hex');
const uuid = (...parts) => {
  const digits = hash(...parts);
  return [8, 12, 16, 20, 32].map((end, n, ends) => digits.slice(ends[n - 1] ?? 0, end)).join('-');
};

const shapes = {
  // help.salesforce.com: remoteaccess_oauth_web_server_flow, remoteaccess_using_openid, and
  // the Mobile SDK's guide on identity URLs.
  salesforce() {
    const organization = '00D5g000008fQ7hEAE';
    // An id of lower-case letters and digits has this suffix.
    const user = (login) => `005${hash(login).slice(0, 12)}AAA`;
    const identity = (login) => `${base}/id/${organization}/${user(login)}`;
    return {
      organization,
      issuer: base,
      routes: {
        authorization: '/services/oauth2/authorize',
        token: '/services/oauth2/token',
        revocation: '/services/oauth2/revoke',
        introspection: '/services/oauth2/introspect',
        userinfo: '/services/oauth2/userinfo',
        jwks: '/id/keys',
      },
      scopes: ['openid', 'offline_access', 'refresh_token', 'api', 'id', 'web', 'profile', 'email'],
      // Both names mean the same there.
      offline: ['refresh_token', 'offline_access'],
      subject: identity,
      claims: (login) => ({
        user_id: user(login),
        organization_id: organization,
        preferred_username: login,
        email: login,
        email_verified: true,
        name: 'Ada Example',
      }),
      // The session's length is the organisation's setting, and not told.
      answer: ({ expires_in: _, ...answer }, login) => ({
        ...answer,
        instance_url: base,
        id: identity(login),
        issued_at: String(Date.now()),
      }),
      api: {
        path: '/services/data/',
        ok: () => ({}),
        refused: [{ message: 'Session expired or invalid', errorCode: 'INVALID_SESSION_ID' }],
      },
    };
  },
  // learn.microsoft.com: v2-oauth2-auth-code-flow, id-token-claims-reference; WhoAmI of the Dataverse Web API.
  entra() {
    const organization = '5f0e8d2c-74a1-4b6e-9d3f-2c1b7a809e64';
    const tenant = '9b1c6c2e-3d5f-4a70-8e21-6f4d0c9ab357';
    return {
      organization,
      issuer: `${base}/${tenant}/v2.0`,
      routes: {
        authorization: '/organizations/oauth2/v2.0/authorize',
        token: '/organizations/oauth2/v2.0/token',
        introspection: '/organizations/oauth2/v2.0/introspect',
        jwks: '/organizations/discovery/v2.0/keys',
      },
      scopes: ['openid', 'offline_access', 'profile', 'email', `${base}/user_impersonation`],
      offline: ['offline_access'],
      subject: (login, client) => hash(tenant, login, client),
      claims: (login) => ({
        tid: tenant,
        oid: uuid(tenant, login),
        ver: '2.0',
        preferred_username: login,
        email: login,
        name: 'Ada Example',
      }),
      answer: (answer) => answer,
      declined: 'error_subcode=cancel',
      api: {
        path: '/api/data/',
        ok: (login) => ({
          BusinessUnitId: uuid(organization),
          UserId: uuid(organization, login),
          OrganizationId: organization,
        }),
        refused: { error: { code: '', message: 'The token is not valid.' } },
      },
    };
  },
};
const shape = shapes[options.shape]();

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'RS256', use: 'sig' };
const offline = (source) => shape.offline.some((scope) => source.scopes.has(scope));

const provider = new Provider(shape.issuer, {
  clients: [{
    client_id: options.client_id,
    client_secret: options.client_secret,
    redirect_uris: options.redirect_uris,
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'client_secret_post',
    subject_type: 'pairwise',
  }],
  jwks: { keys: [key] },
  cookies: { keys: [randomUUID()] },
  routes: shape.routes,
  scopes: shape.scopes,
  claims: { openid: ['sub', ...Object.keys(shape.claims(''))], profile: [], email: [] },
  // Both put the claims into the id_token itself.
  conformIdTokenClaims: false,
  subjectTypes: ['pairwise'],
  pairwiseIdentifier: (_, login, client) => shape.subject(login, client.clientId),
  findAccount: (_, login) => ({ accountId: login, claims: () => ({ sub: login, ...shape.claims(login) }) }),
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: (_, client, source) => offline(source),
  expiresWithSession: (_, source) => !offline(source),
  ttl: {
    AccessToken: 3600, AuthorizationCode: 60, Grant: 86_400, IdToken: 3600, Interaction: 600, RefreshToken: 86_400, Session: 3600,
  },
  features: {
    devInteractions: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: Boolean(shape.routes.revocation) },
    userinfo: { enabled: Boolean(shape.routes.userinfo) },
  },
});

provider.use(async (ctx, next) => {
  // OpenID Connect gives offline access to a request that asks for the consent page only. Neither
  // CRM wants to be asked so.
  if (ctx.path === shape.routes.authorization && ctx.query.scope?.split(' ').includes('offline_access')) {
    ctx.query = { ...ctx.query, prompt: `${ctx.query.prompt ?? ''} consent`.trim() };
  }
  if (ctx.path.startsWith(shape.api.path)) {
    const token = await provider.AccessToken.find(ctx.get('authorization').replace(/^Bearer /, ''));
    ctx.status = token ? 200 : 401;
    ctx.body = token ? shape.api.ok(token.accountId) : shape.api.refused;
    return;
  }
  await next();
  if (ctx.path === shape.routes.token && ctx.status === 200) {
    ctx.body = shape.answer(ctx.body, ctx.oidc.entities.Account.accountId);
  }
  // The provider's own additions when the user refuses.
  const back = ctx.response.get('location') ?? '';
  if (back.includes('error=access_denied') && shape.declined) {
    ctx.set('location', `${back}&${shape.declined}`);
  }
});

// No token, code or secret is in an event.
const given = [];
provider.on('access_token.saved', (token) => given.push(token));
provider.on('interaction.started', (_, prompt) => tell('asked', { prompt: prompt.name }));
provider.on('authorization.success', (ctx) => tell('authorized', { scope: ctx.oidc.params.scope }));
provider.on('authorization.error', (_, error) => tell('not_authorized', { error: error.error, why: error.error_description }));
provider.on('grant.success', (ctx) => tell('tokens_issued', { grant_type: ctx.oidc.params.grant_type, scope: ctx.body.scope }));
provider.on('grant.error', (ctx, error) => tell('tokens_refused', {
  grant_type: ctx.oidc.params?.grant_type, error: error.error, why: error.error_detail ?? error.error_description,
}));
provider.on('grant.revoked', (ctx) => tell('grant_revoked', { by: ctx.oidc.route }));
provider.on('revocation.error', (_, error) => tell('not_revoked', { error: error.error, why: error.error_description }));
provider.on('server_error', (_, error) => tell('server_error', { why: String(error.stack) }));

const commands = {
  mark: () => {},
  'end-access-tokens': () => Promise.all(given.splice(0).map((token) => token.destroy())),
};
lines.on('line', async (line) => {
  await commands[line]();
  tell('done');
});

server.on('request', provider.callback());
tell('listening', { url: base, issuer: shape.issuer, organization: shape.organization });
