// Small things said over HTTP.

export const textOf = async (req) => {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
};

export const formOf = async (req) => new URLSearchParams(await textOf(req));

export const redirect = (res, location, headers = {}) => {
  res.writeHead(302, { ...headers, location }).end();
};

export const json = (res, value) => {
  res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
};
