// The addresses of views with filters: what is chosen is in the URL, so that reload, Back and a shared link keep it.

/** The hash of a view with its filters; empty ones are left out. */
export function addressOf(view, filters) {
  const query = new URLSearchParams(Object.entries(filters).filter(([, value]) => value)).toString();
  return query ? `#/${view}?${query}` : `#/${view}`;
}

/** The filters in the URL's query, by the names and with the defaults of `defaults`. */
export const filtersIn = (query, defaults) => Object.fromEntries(Object.entries(defaults).map(([name, value]) => [name, query.get(name) ?? value]));
