// Sends what a shop's server would, with Segment's own client: `node send.mjs HOST WRITE_KEY MODULE`.
import { createRequire } from "node:module";

const [host, writeKey, modules] = process.argv.slice(2);
const { Analytics } = createRequire(`${modules}/`)("@segment/analytics-node");

const analytics = new Analytics({ writeKey, host, flushAt: 5, maxRetries: 0 });
const failures = [];
analytics.on("error", (error) => failures.push(String(error.reason ?? error)));

analytics.page({ anonymousId: "visitor", name: "Pricing", properties: { path: "/pricing", url: "http://shop/pricing" } });
analytics.track({ anonymousId: "visitor", event: "Cart Updated", properties: { cart_id: "c1", total: 80.5, items: ["ñandú", "靴"] } });
analytics.identify({ userId: "ana", anonymousId: "visitor", traits: { email: "ana@example.com", plan: "pro" } });
for (const _ of [1, 2]) {
  analytics.track({
    userId: "ana",
    event: "Order Completed",
    messageId: "order-1",
    timestamp: new Date(Date.now() - 3600_000),
    properties: { order_id: "o1", coupon: null, at: new Date(0), nested: { deep: [1, 2.5, true] } },
    context: { ip: "203.0.113.7" },
    integrations: { All: false },
  });
}
analytics.screen({ userId: "ana", name: "Home" });
analytics.group({ userId: "ana", groupId: "g1", traits: { name: "Acme" } });
analytics.alias({ userId: "ana", previousId: "old-visitor" });
for (let number = 0; number < 100; number++) {
  analytics.track({ userId: "ben", event: "Product Viewed", properties: { number } });
}
await analytics.closeAndFlush({ timeout: 20_000 });
console.log(JSON.stringify({ failures }));
