import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { readOrder, withOrder } from "../../rollout/rollout-order.ts";

/** Takes from a call's metadata how its writes are to reach the fleet: `penstock-rollout: staged` or `immediate`. */
export function orderWrites(): Interceptor {
  return (next) => (request) => {
    const order = readOrder(request.header.get("penstock-rollout"));
    if (order === "invalid")
      throw new ConnectError("penstock-rollout must be 'staged' or 'immediate'", Code.InvalidArgument);
    return order === null ? next(request) : withOrder(order, () => next(request));
  };
}
