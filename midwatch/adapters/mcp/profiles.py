"""Which tools of known servers only look: lists we have read, pinned here. A server's own word does not count.

Versions read: kubernetes-mcp-server 0.0.67 (npm), mcp-grafana 2.1.1 (PyPI), prometheus-mcp-server 1.6.2 (PyPI).
What reads raw Secret objects, runs commands, or writes is not on a list, whatever the server calls it.
"""

from typing import Final

OURS: Final = "midwatch-kubernetes"

PROFILES: Final[dict[str, frozenset[str]]] = {
    OURS: frozenset(
        {
            "describe_object",
            "get_object",
            "list_events",
            "list_objects",
            "pod_logs",
            "rollout_history",
            "top",
        }
    ),
    "kubernetes-mcp-server": frozenset(
        {
            "events_list",
            "namespaces_list",
            "nodes_log",
            "nodes_stats_summary",
            "nodes_top",
            "pods_get",
            "pods_list",
            "pods_list_in_namespace",
            "pods_log",
            "pods_top",
            "projects_list",
            "resources_get",
            "resources_list",
        }
    ),
    "mcp-grafana": frozenset(
        {
            "alerting_rules_read",
            "get_dashboard_panel_queries",
            "get_dashboard_summary",
            "list_datasources",
            "list_loki_label_names",
            "list_loki_label_values",
            "list_prometheus_label_names",
            "list_prometheus_label_values",
            "list_prometheus_metric_metadata",
            "list_prometheus_metric_names",
            "query_loki_logs",
            "query_loki_patterns",
            "query_loki_stats",
            "query_prometheus",
            "query_prometheus_histogram",
            "search_dashboards",
        }
    ),
    "prometheus-mcp-server": frozenset(
        {
            "execute_query",
            "execute_range_query",
            "get_metric_metadata",
            "get_targets",
            "health_check",
            "list_metrics",
        }
    ),
}
