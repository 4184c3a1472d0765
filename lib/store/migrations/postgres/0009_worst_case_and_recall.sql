-- What calls that ended within so long cost, and each that nobody paid for in full. Where upstream's cost is unknown the
-- upper bound of the loss counts, and for an answer that was paid without its usage, or was running when its server
-- died, the most that it could have cost its buyer.
CREATE OR REPLACE FUNCTION public.alb_losses(p_within_us bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET statement_timeout = '10min' AS $$
DECLARE
    v_since_us bigint := alittlebitofmoney.now_us() - p_within_us;
BEGIN
    RETURN (
        SELECT jsonb_build_object(
            'upstream_cost_usd_picos', coalesce(sum(coalesce(
                upstream_cost_usd_picos, loss_usd_picos,
                CASE WHEN ending IN ('unmetered', 'broken', 'cut', 'lapsed')
                    THEN ceiling_msat * (btc_price_usd_micros / 100000)
                END
            )), 0),
            'lost', coalesce(jsonb_agg(jsonb_build_object(
                'account', account, 'api', api, 'model', model, 'btc_price_usd_micros', btc_price_usd_micros,
                'clamped_msat', coalesce(clamped_msat, 0), 'loss_usd_picos', coalesce(loss_usd_picos, 0)
            )) FILTER (WHERE clamped_msat > 0 OR loss_usd_picos > 0), '[]')
        ) FROM alittlebitofmoney.holds WHERE ended_at_us >= v_since_us
    );
END
$$;

-- What is kept for the owner under this name, for when nothing can be sold. A frozen account gets nothing.
CREATE FUNCTION public.alb_kept_answer(
    p_owner_kind text, p_owner_digest bytea, p_name bytea, p_order_digest bytea
) RETURNS jsonb LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT coalesce((
        SELECT alittlebitofmoney.kept(p_owner_kind, p_owner_digest, p_name, p_order_digest)
        FROM alittlebitofmoney.owners AS owner JOIN alittlebitofmoney.accounts AS account ON account.id = owner.account
        WHERE owner.kind = p_owner_kind AND owner.digest = p_owner_digest AND NOT account.frozen
    ), '{"outcome": "gone"}')
$$;

SELECT alittlebitofmoney.close_doors();
